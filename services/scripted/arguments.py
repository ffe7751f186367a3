"""Arguments that match a tool's schema, made from one text."""

from __future__ import annotations

import re

from pydantic import JsonValue

from services.scripted.conversation import Schema


def arguments_for(schema: Schema, text: str) -> dict[str, object]:
    """The required arguments: a string is the text, a number is the first number in the text."""
    fields = schema.get("properties")
    required = schema.get("required")
    if not isinstance(fields, dict) or not isinstance(required, list):
        return {}
    return {str(key): _example(fields.get(str(key)), text, schema) for key in required}


def _example(schema: JsonValue, text: str, root: Schema) -> object:
    if not isinstance(schema, dict):
        return text
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
            number = re.search(r"\d{1,9}", text)
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
