"""The times of messages: their bounds, and the delays that a task may have."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field

from shared.validation import Wanted

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)
"""Times must lie in the years 1 to 9999 in UTC: Python can't compute with others."""

Time = Annotated[
    AwareDatetime,
    Field(
        ge=EARLIEST,
        le=LATEST,
        json_schema_extra={
            "formatMinimum": "0001-01-01T00:00:00Z",
            "formatMaximum": "9999-12-31T23:59:59.999999Z",
        },
    ),
]


def _text(value: object) -> object:
    if not isinstance(value, str) or value[4:5] != "-":
        raise ValueError
    return value


WrittenTime = Annotated[
    Time, BeforeValidator(_text), Wanted("a time with its zone, such as 2026-11-30T09:00:00Z")
]
"""A time that is written as one: of a number it is unknown which seconds it counts."""

MOST_DELAY = timedelta(days=30)
"""The longest delay. It equals the time for which ended runs are kept, unless that is changed."""


def delay_fault(
    not_before: datetime | None, deadline: datetime | None, session: str | None
) -> str | None:
    """Why a task with this start, deadline and session can't be delayed; None if it can, or if its
    start is not in the future by this machine's clock."""
    now = datetime.now(UTC)
    if not_before is None or not_before <= now:
        return None
    if not_before - now > MOST_DELAY:
        return f"a task can be delayed by at most {MOST_DELAY.days} days: send it later"
    if deadline is not None and deadline <= not_before:
        return "the deadline is not after the start (not_before), so the task would never run"
    if session is not None:
        return "a task of a session can't be delayed: the session's next tasks would wait for it"
    return None
