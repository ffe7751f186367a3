"""Arguments of a tool from a model, corrected where their types are nearly right."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping
from copy import deepcopy
from typing import Any

from pydantic import JsonValue, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json, to_json

from shared.definitions.results import MAX_ERROR_CHARS
from shared.definitions.syntax import expression_tree
from shared.validation import sentence

MOST_CHANGES = 3
"""The most rounds of corrections: a text is read as JSON, then a text in it, then a `null`."""

MOST_LITERAL_CHARS = 10_000
"""The longest text that is read as Python: its parser is slow and needs much memory."""

_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_SEQUENCES = {"list_type", "tuple_type", "set_type", "frozen_set_type"}
_FINAL = {"missing", "extra_forbidden", "value_error", "assertion_error"}
"""Faults that no other type can correct."""


def checked(
    adapter: TypeAdapter[dict[str, object]],
    arguments: Mapping[str, JsonValue],
    optional: Collection[str],
) -> dict[str, object]:
    """The arguments in the types of the function's hints; one with a default may be absent.

    If a value has the wrong type, a text is read as JSON or as Python's notation of the same, a
    number is written as text, `null` or an empty text for a parameter with a default is left out,
    and the spelling of a literal or enum is corrected. A single value is put into a list if the
    list is valid then.
    Raises `ValidationError`, and whatever a user's validator raises.
    """
    for _ in range(MOST_CHANGES):
        try:
            return adapter.validate_python(arguments)
        except ValidationError as error:
            changed = _changed(arguments, error, optional)
            if changed == arguments:
                break
            arguments = changed
    try:
        return adapter.validate_python(arguments)
    except ValidationError as error:
        wrapped = _wrapped(arguments, error)
        if wrapped == arguments:
            raise
        try:
            return adapter.validate_python(wrapped)
        except ValidationError:
            raise error from None  # on what the model has sent


def faults(error: ValidationError) -> str:
    """The faults of the arguments, field by field, without the values."""
    found = error.errors(include_url=False, include_input=False)
    lines = (
        f"{'.'.join(map(str, fault['loc'])) or 'arguments'}: {sentence(fault)}" for fault in found
    )
    return "; ".join(lines)[:MAX_ERROR_CHARS]


def _changed(
    arguments: Mapping[str, JsonValue], error: ValidationError, optional: Collection[str]
) -> Mapping[str, JsonValue]:
    changed: Any = deepcopy(dict(arguments))
    for fault in error.errors(include_url=False, include_input=False):
        holder, key, _ = _place(changed, fault)
        if holder is None or fault["type"] in _FINAL:
            continue
        value = holder[key]
        may_be_absent = key in optional if holder is changed else isinstance(holder, dict)
        if fault["type"].startswith("string_"):
            if fault["type"] == "string_type" and type(value) in {int, float}:
                holder[key] = to_json(value).decode()
            elif value is None and may_be_absent:
                del holder[key]
        elif isinstance(value, str):
            if not value.strip() and may_be_absent:
                del holder[key]
            else:
                holder[key] = _read(value, fault)
        elif value is None and may_be_absent:
            del holder[key]
    return dict(changed)


def _wrapped(arguments: Mapping[str, JsonValue], error: ValidationError) -> dict[str, JsonValue]:
    """The arguments with each single value in a list where a list is expected."""
    wrapped: Any = deepcopy(dict(arguments))
    for fault in error.errors(include_url=False, include_input=False):
        holder, key, is_whole = _place(wrapped, fault)
        if holder is not None and is_whole and fault["type"] in _SEQUENCES:
            value = holder[key]
            several = isinstance(value, str) and re.search(r"[,;\n]", value)
            if isinstance(value, str | int | float) and not several:
                holder[key] = [value]
    return dict(wrapped)


def _place(value: Any, fault: ErrorDetails) -> tuple[Any, Any, bool]:
    """The innermost list or object at the place of a fault, the key or index in it, and whether
    they are the whole place: the rest are names of a union's members."""
    holder, key, is_whole = None, None, False
    for part in fault["loc"]:
        inside = part in value if isinstance(value, dict) else False
        if isinstance(value, list) and isinstance(part, int):
            inside = part < len(value)
        if is_whole := inside:
            holder, key, value = value, part, value[part]
    return holder, key, is_whole


def _read(text: str, fault: ErrorDetails) -> Any:
    if fault["type"] in {"literal_error", "enum"}:
        expected = re.findall(r"'([^']*)'", str(fault.get("ctx", {}).get("expected", "")))
        alike = [it for it in expected if it.casefold() == text.strip().casefold()]
        if len(alike) == 1:
            return alike[0]
    parts = [it.strip() for it in text.split(",")]
    if fault["type"] in _SEQUENCES and all(map(_NUMBER.fullmatch, parts)):
        return parts  # the type of the items decides: a version 1.10 is not 1.1
    for form in (text, f"[{text}]") if fault["type"] in _SEQUENCES else (text,):
        try:
            return from_json(form, allow_inf_nan=False)
        except ValueError:
            pass
    return _python(text.strip())


def _python(text: str) -> Any:
    """The value of a list, object or constant in Python's notation, or the text itself."""
    if len(text) > MOST_LITERAL_CHARS or not re.match(r"[\[{(]|(None|True|False)$", text):
        return text
    try:
        return from_json(to_json(ast.literal_eval(expression_tree(text))), allow_inf_nan=False)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return text
