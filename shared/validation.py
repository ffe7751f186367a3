"""Sentences in plain words on values that pydantic refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Literal, get_args, get_origin

from pydantic import BaseModel, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, core_schema

SHOWN_CHARS = 40
"""The part of a foreign name or value that a sentence shows."""

Verb = Literal["write", "expected"]
"""`write` for what a person has written, `expected` for what a program has."""

_TIME = "a time with its zone, such as 2026-01-31T12:00:00Z"
_WHOLE, _NUMBER, _LIST, _KEYS = "a whole number", "a number", "a list", "keys with values"
_WANTED = {
    "string_type": "text",
    "string_sub_type": "text",
    "string_unicode": "text",
    "string_too_short": "text of {min_length} or more characters",
    "string_too_long": "text of at most {max_length} characters",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": "a whole number with fewer digits",
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": _LIST,
    "tuple_type": _LIST,
    "too_short": "a list of {min_length} or more",
    "too_long": "a list of at most {max_length}",
    "dict_type": _KEYS,
    "mapping_type": _KEYS,
    "model_type": _KEYS,
    "model_attributes_type": _KEYS,
    "greater_than": "a value above {gt}",
    "greater_than_equal": "a value of at least {ge}",
    "less_than": "a value below {lt}",
    "less_than_equal": "a value of at most {le}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "datetime_type": _TIME,
    "datetime_parsing": _TIME,
    "datetime_from_date_parsing": _TIME,
    "datetime_object_invalid": _TIME,
    "timezone_aware": _TIME,
    "path_type": "a path",
    "none_required": "no value",
    "invalid-json-value": "a JSON value",
}
"""By pydantic's name of the error, with the parts of its context."""


@dataclass(frozen=True)
class Wanted:
    """An annotation with the words for a text's form, such as `FILE.py:FUNCTION`.

    They take the place of each error of the annotated type.
    """

    words: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = handler(source)
        return core_schema.custom_error_schema(schema, "wanted", custom_error_message=self.words)


def first_fault(error: ValidationError, kind: object = None, *, verb: Verb = "expected") -> str:
    """The sentence on the first field that is wrong, with its name and without its value.

    For `kind` see `sentence`.
    """
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(shown(str(part)) for part in first["loc"])
    text = sentence(first, kind, verb=verb)
    return f"{where}: {text}" if where else text


def sentence(fault: ErrorDetails, kind: object = None, *, verb: Verb = "expected") -> str:
    """What is wrong with a value, without its place.

    If the fault has its input, an example can show a part of it. An unknown key is compared with
    the keys that `kind`, the type that was validated, has at that place.
    """
    name, place = fault["type"], fault["loc"]
    given: object = fault.get("input")
    parts = fault.get("ctx", {})
    if name == "missing":
        return "the key is missing"
    if name == "extra_forbidden":
        known = sorted(keys(kind, place[:-1]))
        names = f"; known are {', '.join(known)}" if known else ""
        return f"unknown key{near(place[-1], known) or names}"
    if name == "json_invalid":
        return f"not JSON: {parts['error']}"
    if name == "wanted":
        return f"{verb} {fault['msg']}"
    if name not in _WANTED:
        return re.sub(r"^(Value error|Assertion failed), ", "", fault["msg"])
    text = f"{verb} {_WANTED[name].format(**parts)}"
    if name in {"literal_error", "enum"}:
        known = re.findall(r"'([^']*)'", text)
        return text.replace("'", "") + near(given, known)
    if _WANTED[name] == _LIST and isinstance(given, str | Mapping):
        return f"{text}: [{_brief(given)}]"
    if _WANTED[name] == _KEYS and (known := keys(kind, place)):
        return f"{text}, such as {{{known[0]}: …}}"
    return text


def keys(kind: object, place: Sequence[str | int] = ()) -> list[str]:
    """The keys of the models that a type has at a place."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = {str(it.validation_alias or name): it for name, it in kind.model_fields.items()}
        if not place:
            return list(fields)
        field = fields.get(str(place[0]))
        return keys(field.annotation, place[1:]) if field else []
    origin = get_origin(kind)
    holds = isinstance(origin, type) and issubclass(origin, Mapping | Sequence)
    below = place[1:] if holds else place
    parts = get_args(kind)[:1] if origin is Annotated else get_args(kind)
    if holds and not place:
        return []
    return [key for part in parts for key in keys(part, below)]


def shown(text: str) -> str:
    """The part of a foreign text that fits into one sentence."""
    return "".join(char if char.isprintable() else "?" for char in text[:SHOWN_CHARS])


def near(given: object, known: Sequence[str]) -> str:
    """The end of a sentence that names the most similar known text, if there is one."""
    found = get_close_matches(str(given)[:SHOWN_CHARS].casefold(), known, 1)
    return f"; did you mean {found[0]}?" if found else ""


def _brief(given: str | Mapping[object, object]) -> str:
    if isinstance(given, str):
        return shown(given)
    return f"{{{shown(str(next(iter(given), '')))}: …}}"
