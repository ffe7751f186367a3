"""The narrow form of a JSON schema, in which strict endpoints take it for structured answers.

Its root is an object, objects are closed, all keys are required, and what was optional can be null.
Answers are validated against the original schema, so the narrow one may say less, never more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from shared.definitions.functions import JsonObject

WRAPPED = "value"
"""The key of the answer, if the schema's root is no object."""

NULL: JsonObject = {"type": "null"}

_LIMITS = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems"),
)
"""Keywords that are kept where the endpoint takes them; elsewhere the description has them."""
_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
)
_SILENT = frozenset(
    {"title", "default", "examples", "example", "deprecated", "readOnly", "writeOnly", "$comment"}
    | {"$schema", "$id", "id", "$anchor", "$defs", "definitions", "discriminator", "format"}
    | {"description", "type", "enum", "const", "properties", "required", "items", "$ref"}
    | {"anyOf", "oneOf", "allOf", "prefixItems", "additionalProperties", "additionalItems"}
)
"""Keywords that restrict nothing, or that have their own place in the code below."""
_UNNAMED = re.compile(r"[^a-zA-Z0-9_-]")


@dataclass(frozen=True)
class Narrowed:
    schema: JsonObject
    lost: tuple[str, ...]
    """What the narrow schema does not say: the place and the keyword of each."""
    strict: bool
    """False if a part has no strict form: an open map or any value."""


def is_wrapped(schema: JsonObject) -> bool:
    """Whether the narrow form has the answer under `WRAPPED`."""
    joined = any(key in schema for key in ("anyOf", "oneOf", "allOf", "$ref", "enum", "const"))
    kind = schema.get("type", "object" if "properties" in schema else None)
    return joined or kind != "object"


def narrowed(schema: JsonObject, refused: Collection[str] = ()) -> Narrowed:
    """The narrow form without the keywords that an endpoint refuses. It is itself narrow: a second
    call only removes further keywords."""
    work = _Narrowing(schema, frozenset(refused))
    root = work.part(schema, "")
    if is_wrapped(schema):
        root = _closed({WRAPPED: root})
    if work.definitions:
        root["$defs"] = dict(work.definitions)
    return Narrowed(root, tuple(dict.fromkeys(work.lost)), work.strict)


class _Narrowing:
    def __init__(self, root: JsonObject, refused: frozenset[str]) -> None:
        self._root, self._refused = root, refused
        self._names: dict[str, str] = {}
        self.definitions: dict[str, JsonValue] = {}
        self.lost: list[str] = []
        self.strict = True

    def part(self, schema: JsonValue, place: str) -> JsonObject:
        if not isinstance(schema, dict) or not schema.keys() - {"title", "description", "default"}:
            return self._anything(schema, place)
        if "allOf" in schema:
            return self.part(self._joined(schema, place), place)
        if isinstance(schema.get("$ref"), str):
            return self._reference(schema, str(schema["$ref"]), place)
        branches = schema.get("anyOf", schema.get("oneOf"))
        if isinstance(branches, list) and not schema.keys() & {"properties", "items"}:
            shared = {key: it for key, it in schema.items() if key in {"type", *_LIMITS}}
            parts = [self.part(_with(shared, it), place) for it in branches]
            return self._finished({"anyOf": _distinct(parts)}, schema, place)
        kinds = schema.get("type")
        if isinstance(kinds, list) and {"object", "array"} & set(map(str, kinds)):
            each = [self.part({**schema, "type": kind}, place) for kind in kinds]
            return {"anyOf": _distinct(each)}
        if kinds == "object" or "properties" in schema:
            return self._finished(self._object(schema, place), schema, place)
        if kinds == "array" or "items" in schema or "prefixItems" in schema:
            return self._finished(self._array(schema, place), schema, place)
        return self._finished(self._scalar(schema, place), schema, place)

    def _anything(self, schema: JsonValue, place: str) -> JsonObject:
        self._lose(place, "any value")
        self.strict = False
        return _described(schema)

    def _object(self, schema: JsonObject, place: str) -> JsonObject:
        properties, required = schema.get("properties"), schema.get("required")
        others = schema.get("additionalProperties")
        if not isinstance(properties, dict) or not properties:
            if others is False:
                return _closed({})
            self._lose(place, "additionalProperties")
            self.strict = False
            each = self.part(others, f"{place}.*") if isinstance(others, dict) else True
            return {"type": "object", "additionalProperties": each}
        if others not in (None, False):
            self._lose(place, "additionalProperties")
        must = required if isinstance(required, list) else []
        parts: dict[str, JsonValue] = {}
        for name, it in properties.items():
            narrow = self.part(it, f"{place}.{name}" if place else name)
            parts[name] = narrow if name in must else _nullable(narrow)
        return _closed(parts)

    def _array(self, schema: JsonObject, place: str) -> JsonObject:
        items, first = schema.get("items"), schema.get("prefixItems")
        if isinstance(items, list):  # as drafts before 2020-12 wrote `prefixItems`
            items, first = None, items
        if isinstance(first, list):
            self._lose(place, "prefixItems")
            parts = _distinct([self.part(it, f"{place}[]") for it in first])
            if isinstance(items, dict):
                parts = _distinct([*parts, self.part(items, f"{place}[]")])
            return {"type": "array", "items": parts[0] if len(parts) == 1 else {"anyOf": parts}}
        return {"type": "array", "items": self.part(items, f"{place}[]")}

    def _scalar(self, schema: JsonObject, place: str) -> JsonObject:
        values = [schema["const"]] if "const" in schema else schema.get("enum")
        narrow: JsonObject = {}
        if isinstance(values, list):
            kinds = list(dict.fromkeys(map(_kind, values)))
            narrow["type"] = schema.get("type", kinds[0] if len(kinds) == 1 else [*kinds])
            narrow["enum"] = values
        elif "type" in schema:
            narrow["type"] = schema["type"]
        else:
            return self._anything(schema, place)
        return narrow

    def _finished(self, narrow: JsonObject, schema: JsonObject, place: str) -> JsonObject:
        """The description, and the limits that are taken; others go into the description."""
        said = []
        for key, value in schema.items():
            if key in _LIMITS and "anyOf" not in narrow:
                if isinstance(value, bool) and key != "uniqueItems":  # as draft 4 wrote them
                    self._lose(place, key)
                elif key in self._refused:
                    self._lose(place, key)
                    said.append(f"{key}: {json.dumps(value)}")
                else:
                    narrow[key] = value
            elif key not in _SILENT and key not in _LIMITS and not key.startswith("x-"):
                self._lose(place, key)
        form = schema.get("format")
        if isinstance(form, str):
            if form in _FORMATS and "format" not in self._refused:
                narrow["format"] = form
            else:
                said.append(f"format: {form}")
        if schema.keys() & {"properties", "items"} and schema.keys() & {"anyOf", "oneOf"}:
            self._lose(place, "anyOf")
        text = schema.get("description")
        words = [text] if isinstance(text, str) and text else []
        if said:
            words.append(f"({', '.join(said)})")
        return narrow | ({"description": " ".join(words)} if words else {})

    def _joined(self, schema: JsonObject, place: str) -> JsonObject:
        """The schema with the parts of its `allOf` put into one."""
        joined = {key: it for key, it in schema.items() if key != "allOf"}
        parts = schema["allOf"]
        parts = parts if isinstance(parts, list) else []
        alone = len(parts) == 1 and not joined.keys() - _SILENT
        for part in parts:
            if not isinstance(part, dict):
                continue
            found = part if alone else self._resolved(part)
            for key, value in found.items():
                there = joined.get(key)
                if key == "properties" and isinstance(there, dict) and isinstance(value, dict):
                    joined[key] = {**there, **value}
                elif key == "required" and isinstance(there, list) and isinstance(value, list):
                    joined[key] = [*dict.fromkeys([*there, *value])]
                elif there is None or there == value or key in {"title", "description"}:
                    joined.setdefault(key, value)
                else:
                    self._lose(place, "allOf")
        return joined

    def _reference(self, schema: JsonObject, reference: str, place: str) -> JsonObject:
        for key in schema.keys() - _SILENT:
            self._lose(place, key)
        if reference not in self._names:
            wanted = _UNNAMED.sub("_", reference.rpartition("/")[2].lstrip("#")) or "root"
            name, number = wanted, 1
            while name in self._names.values():
                number += 1
                name = f"{wanted}_{number}"
            self._names[reference] = name
            self.definitions[name] = self.part(pointed(self._root, reference), name)
        return {"$ref": f"#/$defs/{self._names[reference]}"}

    def _resolved(self, schema: JsonObject) -> JsonObject:
        reference = schema.get("$ref")
        found = pointed(self._root, reference) if isinstance(reference, str) else schema
        return found if isinstance(found, dict) else {}

    def _lose(self, place: str, keyword: str) -> None:
        self.lost.append(f"{place or 'the answer'}: {keyword}")


def _closed(properties: dict[str, JsonValue]) -> JsonObject:
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


def _nullable(schema: JsonObject) -> JsonObject:
    if any(it == NULL for it in _branches(schema)) or "null" in _kinds(schema):
        return schema
    return {"anyOf": [*_branches(schema), NULL]}


def _branches(schema: JsonObject) -> Iterator[JsonObject]:
    parts = schema.get("anyOf")
    if isinstance(parts, list) and schema.keys() == {"anyOf"}:
        yield from (it for it in parts if isinstance(it, dict))
    else:
        yield schema


def _kinds(schema: JsonObject) -> list[JsonValue]:
    parts = schema.get("anyOf")
    if isinstance(parts, list):
        return [kind for it in parts if isinstance(it, dict) for kind in _kinds(it)]
    kinds = schema.get("type")
    return kinds if isinstance(kinds, list) else [kinds]


def _with(shared: JsonObject, branch: JsonValue) -> JsonValue:
    if not isinstance(branch, dict) or branch.keys() & {"$ref", "anyOf", "oneOf", "allOf"}:
        return branch
    return {**shared, **branch}


def _distinct(schemas: Sequence[JsonValue]) -> list[JsonValue]:
    found: list[JsonValue] = []
    for schema in schemas:
        if schema not in found:
            found.append(schema)
    return found


def _described(schema: JsonValue) -> JsonObject:
    text = schema.get("description") if isinstance(schema, dict) else None
    return {"description": text} if isinstance(text, str) else {}


def _kind(value: JsonValue) -> str:
    kinds = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"))
    found = next((name for kind, name in kinds if isinstance(value, kind)), "null")
    return "object" if isinstance(value, dict) else "array" if isinstance(value, list) else found


def pointed(root: JsonValue, reference: str) -> JsonValue:
    """The part that a reference such as `#/$defs/Order` names; None if there is none."""
    place = root
    for step in reference.removeprefix("#").split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(place, list):
            place = place[int(key)] if key.isdigit() and int(key) < len(place) else None
        else:
            place = place.get(key) if isinstance(place, dict) else None
    return place
