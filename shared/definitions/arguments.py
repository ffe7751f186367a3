"""Arguments of a tool from a model, corrected where their types are nearly right."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import JsonValue, TypeAdapter, ValidationError
from pydantic_core import from_json

from shared.definitions.results import MAX_ERROR_CHARS
from shared.validation import sentence

MOST_CHANGES = 2
"""The most corrections: a text is read as JSON, and a `null` in it is then left out."""


def checked(
    adapter: TypeAdapter[dict[str, object]],
    arguments: Mapping[str, JsonValue],
    optional: Collection[str],
) -> dict[str, object]:
    """The arguments in the types of the function's hints; one with a default may be absent.

    If a value has the wrong type, a text is read as JSON, and `null` for a parameter with a
    default is left out. Raises `ValidationError`, and whatever a user's validator raises.
    """
    for _ in range(MOST_CHANGES):
        try:
            return adapter.validate_python(arguments)
        except ValidationError as error:
            changed = _changed(arguments, error, optional)
            if changed == arguments:
                raise
            arguments = changed
    return adapter.validate_python(arguments)


def faults(error: ValidationError) -> str:
    """The faults of the arguments, field by field, without the values."""
    found = error.errors(include_url=False, include_input=False)
    lines = (
        f"{'.'.join(map(str, fault['loc'])) or 'arguments'}: {sentence(fault)}" for fault in found
    )
    return "; ".join(lines)[:MAX_ERROR_CHARS]


def _changed(
    arguments: Mapping[str, JsonValue], error: ValidationError, optional: Collection[str]
) -> dict[str, JsonValue]:
    changed = dict(arguments)
    found = error.errors(include_url=False, include_input=False, include_context=False)
    for name in {fault["loc"][0] for fault in found if fault["loc"] and _is_of_type(fault["type"])}:
        value = arguments.get(str(name))
        if isinstance(value, str):
            changed[str(name)] = _read(value)
        elif value is None and name in optional:
            changed.pop(str(name), None)
    return changed


def _is_of_type(fault: str) -> bool:
    """Whether another type can correct this fault. It can't if the type is text, or if a user's
    validator refused the value.
    """
    return not fault.startswith("string_") and fault not in {"value_error", "assertion_error"}


def _read(text: str) -> Any:
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        return text
