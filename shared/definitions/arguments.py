"""The arguments of a tool as models send them: nearly right."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import JsonValue, TypeAdapter, ValidationError
from pydantic_core import from_json

from shared.definitions.results import MAX_ERROR_CHARS

MOST_CHANGES = 2
"""First a text is read as JSON; then it may have been `null`."""


def checked(
    adapter: TypeAdapter[dict[str, object]],
    arguments: Mapping[str, JsonValue],
    optional: Collection[str],
) -> dict[str, object]:
    """The arguments as the function's hints want them; an absent one has a default.

    Where a value doesn't fit as it is: a text that is JSON of what is wanted counts as that, and
    `null` for a parameter with a default as absent. Raises `ValidationError`, and whatever a
    user's validator raises.
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
    """What is wrong with some arguments, field by field, without the values."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    lines = (
        f"{'.'.join(map(str, fault['loc'])) or 'arguments'}: {fault['msg']}" for fault in found
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
    """Whether another type can help: not where a text is wanted, or a user's validator refuses."""
    return not fault.startswith("string_") and fault not in {"value_error", "assertion_error"}


def _read(text: str) -> Any:
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        return text
