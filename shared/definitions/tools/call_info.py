"""Facts of one call of a tool, for the parameters that ask for them by their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError


class Progress(Protocol):
    def __call__(self, done: float, total: float | None = None) -> None:
        """Report how much of a call's work is done, from any thread."""


def unreported(done: float, total: float | None = None) -> None:
    """The `Progress` of a call that no run makes."""


@dataclass(frozen=True)
class CallInfo:
    """Facts of one call. A function's parameter with the name of a field gets it; no model does."""

    idempotency_key: str = ""
    """The step's key, which is the same if the call is made again."""
    deadline: datetime | None = None
    """The time at which the call is cut off, with its zone."""
    session: str | None = None
    """The conversation that the run belongs to."""
    run_id: str = ""
    progress: Progress = unreported


FILLED = frozenset(it.name for it in fields(CallInfo))
"""The parameters that no model fills."""

_VALUES: Mapping[str, tuple[str, tuple[object, ...]]] = {
    "idempotency_key": ("str", ("key",)),
    "deadline": ("datetime", (datetime(2026, 1, 1, tzinfo=UTC),)),
    "session": ("str | None", ("session", None)),
    "run_id": ("str", ("run",)),
}
"""For each of them, except `progress`, the right hint, and values that it can have."""


def check_hint(name: str, hint: Any, *, has_default: bool) -> None:
    """Raises `TypeError` if a parameter that no model fills has a hint that its values violate."""
    right, values = _VALUES.get(name, ("", ()))
    try:
        for value in values:
            if value is not None or not has_default:  # without a value, the default applies
                TypeAdapter(hint).validate_python(value, strict=True)
    except (ValidationError, PydanticUserError) as error:
        raise TypeError(
            f"the parameter '{name}' gets a fact of the call, which is {right}: correct its hint, "
            "or rename it if the model is to fill it"
        ) from error
