"""Schemas of public packages, narrowed for the endpoints' lists of keywords."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

import jsonschema
import pytest
from pydantic import BaseModel, JsonValue

from services.agent.loop.data import AnswerData
from shared.definitions.functions import JsonObject
from shared.definitions.models.narrowing import narrowed
from shared.definitions.models.profiles import PROFILES
from shared.definitions.output import Checker, check_schema

REFUSED: dict[str, frozenset[str]] = {it.name: it.schemas.refused for it in PROFILES}

MODELS = (
    "openai.types.chat:ChatCompletion",
    "openai.types.chat:ChatCompletionMessage",
    "openai.types:CompletionUsage",
    "openai.types.chat:ChatCompletionChunk",
    "openai.types:Batch",
    "openai.types:FileObject",
    "openai.types:ImagesResponse",
    "openai.types:Model",
    "openai.types:ModerationCreateResponse",
    "openai.types:VectorStore",
    "openai.types.audio:TranscriptionVerbose",
    "openai.types.beta:Assistant",
    "openai.types.beta:Thread",
    "openai.types.evals:RunCreateResponse",
    "openai.types.fine_tuning:FineTuningJob",
    "openai.types.responses:Response",
    "openai.types.responses:ResponseOutputMessage",
)
FILES = (
    "jsonschema_specifications:schemas/draft4/metaschema.json",
    "jsonschema_specifications:schemas/draft6/metaschema.json",
    "jsonschema_specifications:schemas/draft7/metaschema.json",
)
STRICT = 8
"""How many have a strict form; the others have an open map or a value of any type."""


@cache
def public(source: str) -> JsonObject:
    package, _, name = source.partition(":")
    if source in FILES:
        schema: JsonObject = json.loads(files(package).joinpath(name).read_text("utf-8"))
        return schema
    model = getattr(importlib.import_module(package), name)
    assert issubclass(model, BaseModel)
    made: JsonObject = model.model_json_schema()
    check_schema(made)
    return made


def parts(schema: JsonValue) -> Iterator[JsonObject]:
    """The schema and all schemas in it."""
    if not isinstance(schema, dict):
        return
    yield schema
    for key in ("properties", "$defs"):
        inner = schema.get(key)
        for it in inner.values() if isinstance(inner, dict) else ():
            yield from parts(it)
    for key in ("items", "additionalProperties"):
        yield from parts(schema.get(key))
    branches = schema.get("anyOf")
    for it in branches if isinstance(branches, list) else ():
        yield from parts(it)


def is_strict(schema: JsonObject, refused: frozenset[str]) -> bool:
    """Whether a strict endpoint takes the schema."""
    for part in parts(schema):
        if part.keys() & (refused | {"oneOf", "allOf", "prefixItems", "definitions", "default"}):
            return False
        if not part.keys() & {"type", "anyOf", "$ref"}:
            return False
        if part.get("type") == "array" and "items" not in part:
            return False
        properties = part.get("properties", {})
        assert isinstance(properties, dict)
        if part.get("type") == "object" and (
            part.get("additionalProperties") is not False or part["required"] != [*properties]
        ):
            return False
        reference = part.get("$ref", "#/$defs/")
        if not str(reference).startswith("#/$defs/"):
            return False
    return schema["type"] == "object" and "anyOf" not in schema


def sample(schema: JsonValue, root: JsonObject, depth: int) -> JsonValue:
    """An answer to a narrow schema; below the depth, as much as possible is empty or null."""
    assert isinstance(schema, dict)
    if "$ref" in schema:
        definitions = root["$defs"]
        assert isinstance(definitions, dict)
        return sample(definitions[str(schema["$ref"]).rpartition("/")[2]], root, depth)
    if isinstance(branches := schema.get("anyOf"), list):
        simple = [it for it in branches if isinstance(it, dict) and it.get("type") == "null"]
        return sample(simple[0] if simple and depth <= 0 else branches[0], root, depth)
    if isinstance(allowed := schema.get("enum"), list):
        return allowed[0]
    kinds = schema.get("type")
    kind = kinds[0] if isinstance(kinds, list) else kinds
    if kind == "object":
        properties = schema.get("properties", {})
        assert isinstance(properties, dict)
        return {name: sample(it, root, depth - 1) for name, it in properties.items()}
    if kind == "array":
        return [sample(schema["items"], root, depth - 1)] if depth > 0 else []
    values: JsonObject = {"string": "text", "integer": 1, "number": 1.5, "boolean": True}
    return values.get(str(kind))


@pytest.mark.parametrize("endpoint", REFUSED)
def test_of_the_public_schemas_those_that_can_be_strict_are(endpoint: str) -> None:
    taken = []
    for source in (*MODELS, *FILES):
        narrow = narrowed(public(source), REFUSED[endpoint])
        assert is_strict(narrow.schema, REFUSED[endpoint]) is narrow.strict, source
        taken += [source] if narrow.strict else []
    assert len(taken) == STRICT, taken


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("source", [*MODELS, *FILES])
def test_an_answer_to_the_narrow_schema_is_valid_by_the_original(source: str, depth: int) -> None:
    schema = public(source)
    narrow = narrowed(schema).schema
    answer = sample(narrow, narrow, depth)
    assert Checker(narrow).faults(answer) == []
    _, wrong = AnswerData(schema).read(json.dumps(answer))
    assert wrong == []


@pytest.mark.parametrize("source", [*MODELS, *FILES])
def test_a_narrow_schema_stays_as_it_is(source: str) -> None:
    once = narrowed(public(source)).schema
    assert narrowed(once).schema == once
    jsonschema.Draft202012Validator.check_schema(once)


def test_refused_limits_go_into_the_description() -> None:
    schema: JsonObject = {
        "type": "object",
        "properties": {"n": {"type": "integer", "description": "How many.", "minimum": 1}},
        "required": ["n"],
    }
    kept, left = narrowed(schema), narrowed(schema, {"minimum"})
    assert kept.schema["properties"] == schema["properties"]
    described = {"type": "integer", "description": "How many. (minimum: 1)"}
    assert left.schema["properties"] == {"n": described}
    assert (kept.lost, left.lost) == ((), ("n: minimum",))


def test_an_optional_key_is_required_and_may_be_null() -> None:
    schema: JsonObject = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert narrowed(schema).schema == {
        "type": "object",
        "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
        "required": ["a"],
        "additionalProperties": False,
    }


def test_a_root_that_is_no_object_is_wrapped() -> None:
    narrow = narrowed({"type": "array", "items": {"type": "string"}}).schema
    assert narrow["properties"] == {"value": {"type": "array", "items": {"type": "string"}}}
    assert narrow["required"] == ["value"]


def test_a_recursive_root_becomes_a_definition() -> None:
    tree: JsonObject = {
        "type": "object",
        "properties": {"below": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["below"],
    }
    narrow = narrowed(tree)
    below = {"type": "array", "items": {"$ref": "#/$defs/root"}}
    assert narrow.schema["properties"] == {"below": below}
    assert narrow.strict
    assert Checker(narrow.schema).faults({"below": [{"below": []}]}) == []


@pytest.mark.parametrize(
    ("schema", "lost"),
    [
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "additionalProperties"),
        ({"type": "object", "properties": {"a": {}}}, "a: any value"),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "if": {}}, "if"),
        ({"type": "object", "properties": {"a": {"type": "array"}}}, "a[]: any value"),
    ],
)
def test_what_has_no_strict_form_is_named(schema: JsonObject, lost: str) -> None:
    assert lost in " ".join(narrowed(schema).lost)


def test_parts_of_all_of_are_joined() -> None:
    schema: JsonObject = {
        "allOf": [{"$ref": "#/$defs/A"}, {"properties": {"b": {"type": "string"}}}],
        "$defs": {
            "A": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
        },
    }
    narrow = narrowed(schema)
    assert narrow.lost == ()
    assert Checker(narrow.schema).faults({"value": {"a": 1, "b": "x"}}) == []
    assert Checker(narrow.schema).faults({"value": {"b": "x"}}) != []
