"""The JSON schema of an agent's answers, and the validation of an answer.

An agent's file has the schema itself, or names a JSON file beside it, or a pydantic model in
`agents/tools/`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, JsonValue
from pydantic_core import from_json

from shared.definitions.functions import JsonObject
from shared.definitions.models.narrowing import pointed
from shared.definitions.tools.module import tool_module
from shared.errors import SettingsError

if TYPE_CHECKING:
    from jsonschema import FormatChecker, ValidationError
    from jsonschema.protocols import Validator

MODEL_REFERENCE = re.compile(r"[^:]+\.py:[A-Za-z_]\w*")
FILE_REFERENCE = re.compile(r"[^:]+\.json")

MOST_BYTES = 256 * 1024
"""Far more than any endpoint takes."""

MOST_FAULTS = 5
"""The most faults of one answer that are reported."""
MOST_FAULT_CHARS = 300


def checked_output(value: object) -> object:
    """A reference, a valid schema or None. Raises `ValueError` for anything else."""
    if value is None:
        return None
    if isinstance(value, str):
        if MODEL_REFERENCE.fullmatch(value) or FILE_REFERENCE.fullmatch(value):
            return value
        raise ValueError(
            f"'{value[:40]}' is neither a file (report.json) nor a model (a.py:Report)"
        )
    if not isinstance(value, dict):
        raise ValueError("write a JSON schema, a file (report.json) or a model (a.py:Report)")
    check_schema(value)
    return value


def check_schema(schema: JsonObject) -> None:
    """Raises `ValueError` if this is no JSON schema, or if it refers to anything outside itself."""
    from jsonschema import SchemaError
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    try:
        type(_validator(schema)).check_schema(schema)
        registry: Registry[JsonObject] = Registry()
        resolver = registry.resolver_with_root(DRAFT202012.create_resource(schema))
        for reference in _references(schema):
            resolver.lookup(reference)
    except SchemaError as error:
        where = ".".join(map(str, error.absolute_path))
        raise ValueError(f"no JSON schema: {where and f'{where}: '}{_brief(error)}") from error
    except Unresolvable as error:
        raise ValueError(f"the schema refers to '{reference}', which it does not hold") from error
    except RecursionError as error:
        raise ValueError("no JSON schema: it is nested too deeply") from error


def read_schema(file: Path) -> JsonObject:
    """The schema in a JSON file. Raises `ValueError` that names the file."""
    try:
        with file.open("rb") as source:
            text = source.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES // 1024} KiB")
        schema = from_json(text, allow_inf_nan=False)
        if not isinstance(schema, dict):
            raise ValueError("a JSON schema is an object")
        check_schema(schema)
    except OSError as error:
        raise ValueError(f"{file}: it can't be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    return schema


def model_schema(folder: Path, reference: str) -> JsonObject:
    """The schema of a pydantic model such as `reports.py:Report`, in `<folder>/tools/reports.py`.

    Raises `SettingsError` naming file and class. Call it where no event loop runs.
    """
    file_name, _, name = reference.partition(":")
    file = folder / "tools" / file_name
    model = getattr(tool_module(folder / "tools", file_name, name), name, None)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise SettingsError(f"{file}: '{name}' is no pydantic model")
    try:
        schema: JsonObject = json.loads(json.dumps(model.model_json_schema()))
        check_schema(schema)
    except Exception as error:  # a model can have parts without a schema
        why = str(error).partition("\n")[0]
        raise SettingsError(f"{file}: '{name}' has no JSON schema: {why}") from error
    return schema


class Checker:
    """Validates values by a schema, which `check_schema` takes."""

    def __init__(self, schema: JsonObject, *, canonical: bool = False) -> None:
        """`canonical`: texts of a format also have its usual spelling, see `_canonical`."""
        self._validator = _validator(schema, _canonical() if canonical else None)

    def faults(self, value: JsonValue) -> list[str]:
        """The faults of a value, each with its field; empty if it is valid."""
        try:
            errors = sorted(self._validator.iter_errors(value), key=_place)
        except RecursionError:
            return ["it is nested too deeply"]
        return [f"{_place(it) or 'the answer'}: {_brief(it)}" for it in errors[:MOST_FAULTS]]

    def takes(self, value: JsonValue, part: JsonValue) -> bool:
        """Whether a value is valid by a part of the schema."""
        try:
            return self._validator.evolve(schema=part).is_valid(value)
        except RecursionError:
            return False


MOST_REFERENCES = 10
"""References that are followed to a branch: they can form a circle."""

_CANONICAL = {
    "date": r"\d{4}-\d\d-\d\d",
    "date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "uuid": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
}
_MANY_SPELLINGS = ("time", "duration", "uri", "email", "ipv6")


def _canonical() -> FormatChecker:
    """Takes texts that are equal, or in the order of their values, only if their values are."""
    from jsonschema import FormatChecker

    checker = FormatChecker(formats=())
    for name in (*_CANONICAL, *_MANY_SPELLINGS):
        checker.checks(name)(partial(_is_canonical, _CANONICAL.get(name, r"(?!)")))
    return checker


def _is_canonical(form: str, value: object) -> bool:
    return not isinstance(value, str) or re.fullmatch(form, value, re.ASCII) is not None


def _validator(schema: JsonObject, formats: FormatChecker | None = None) -> Validator:
    """A validator that fetches nothing from elsewhere."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend, validator_for
    from referencing.jsonschema import EMPTY_REGISTRY

    kind = validator_for(schema, default=Draft202012Validator)
    own = kind.VALIDATORS
    choices = {key: partial(_choice, own[key], schema) for key in ("anyOf", "oneOf") if key in own}
    made: type[Validator] = extend(kind, choices)  # type: ignore[no-untyped-call]  # it has no types
    return made(schema, registry=EMPTY_REGISTRY, format_checker=formats)


def _choice(
    check: Any, root: JsonObject, validator: Validator, branches: Any, value: Any, schema: Any
) -> Iterator[ValidationError]:
    """Check the branches that may fit; without one the first, for its faults.

    The others would be checked in vain, with all below them: a recursive tagged union would take a
    multiple of the time for each level.
    """
    fitting = [it for it in branches if may_fit(root, it, value)] or branches[:1]
    yield from check(validator, fitting, value, schema)


def may_fit(root: JsonValue, branch: JsonValue, value: JsonValue) -> bool:
    """False if a tag of an object, a key with a constant, rules this branch of a choice out."""
    for _ in range(MOST_REFERENCES):
        reference = branch.get("$ref") if isinstance(branch, dict) else None
        if not isinstance(reference, str) or not reference.startswith("#"):
            break
        branch = pointed(root, reference)
    properties = branch.get("properties") if isinstance(branch, dict) else None
    if not isinstance(properties, dict) or not isinstance(value, dict):
        return True
    tags = {key: it for key, it in properties.items() if isinstance(it, dict) and "const" in it}
    return all(value[key] == tag["const"] for key, tag in tags.items() if key in value)


def _references(schema: JsonValue) -> Iterator[str]:
    if isinstance(schema, dict):
        reference = schema.get("$ref")
        if isinstance(reference, str):
            yield reference
        for part in schema.values():
            yield from _references(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _references(part)


def _place(error: ValidationError) -> str:
    return ".".join(map(str, error.absolute_path))


def _brief(error: Exception) -> str:
    text = str(getattr(error, "message", error))
    return text if len(text) <= MOST_FAULT_CHARS else f"{text[:MOST_FAULT_CHARS]}…"
