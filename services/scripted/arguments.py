"""Arguments that match a tool's schema, made from one text, and whether the text has them."""

from __future__ import annotations

import re

from pydantic import JsonValue

from services.scripted.conversation import Schema

_NUMBER = re.compile(r"\d{1,9}")
_WRITTEN = {
    "date": r"\b\d{4}-\d\d-\d\d\b",
    "date-time": r"\b\d{4}-\d\d-\d\dT[\d:]{5,8}\S*",
    "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "uri": r"\bhttps?://[^\s\"<>]+",
}
"""How a text has a value of a schema's format."""
_NAMED = {"date": "date", "day": "date", "email": "email", "url": "uri", "uri": "uri"}
"""The format of a string whose schema has none, by the last word of its name."""


def has_arguments(schema: Schema, text: str) -> bool:
    """Whether the text has each required argument of a form of its own: numbers, dates, URLs."""
    fields, required = schema.get("properties"), schema.get("required")
    if not isinstance(fields, dict) or not isinstance(required, list):
        return True
    return all(_has(str(key), fields.get(str(key)), text) for key in required)


def _has(name: str, schema: JsonValue, text: str) -> bool:
    if not isinstance(schema, dict) or "enum" in schema:
        return True
    if schema.get("type") in ("integer", "number"):
        return _NUMBER.search(text) is not None
    written = _form(name, schema)
    return written is None or re.search(written, text) is not None


def _form(name: str, schema: dict[str, JsonValue]) -> str | None:
    """The pattern of a string that a text has among other words; None if any text fits."""
    if schema.get("type") != "string":
        return None
    form = schema.get("format") or _NAMED.get(name.rpartition("_")[2].lower())
    return _WRITTEN.get(str(form))


def arguments_for(schema: Schema, text: str) -> dict[str, object]:
    """The required arguments: a number or a date is the first in the text, a string the text."""
    fields = schema.get("properties")
    required = schema.get("required")
    if not isinstance(fields, dict) or not isinstance(required, list):
        return {}
    return {str(key): _example(fields.get(str(key)), text, schema, str(key)) for key in required}


def _example(schema: JsonValue, text: str, root: Schema, name: str = "") -> object:
    if not isinstance(schema, dict):
        return text
    if (written := _form(name, schema)) and (found := re.search(written, text)):
        return found[0]
    if isinstance(schema.get("$ref"), str):
        return _example(_resolved(str(schema["$ref"]), root), text, root)
    for one_of in (schema.get(key) for key in ("enum", "anyOf", "oneOf")):
        if isinstance(one_of, list) and one_of:
            return one_of[0] if "enum" in schema else _example(one_of[0], text, root)
    if "const" in schema:
        return schema["const"]
    match schema.get("type"):
        case "object":
            return arguments_for({**schema, "$defs": root.get("$defs")}, text)
        case "array":
            return [_example(schema.get("items"), text, root)]
        case "integer" | "number":
            number = _NUMBER.search(text)
            return int(number[0]) if number else schema.get("minimum", 1)
        case "boolean":
            return True
        case "null":
            return None
    return text


def _resolved(pointer: str, root: Schema) -> JsonValue:
    place: JsonValue = root
    for key in pointer.removeprefix("#/").split("/"):
        place = place.get(key) if isinstance(place, dict) else None
    return place
