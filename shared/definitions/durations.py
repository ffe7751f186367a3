"""Durations as a person writes them: `10s`, `5m`, `1h30m`, `7d`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

LONGEST = timedelta(days=365)
"""The longest duration: more than any run needs, and no time computed from it overflows."""
_DURATION = re.compile(
    r"(?:(\d{1,18})d)?(?:(\d{1,18})h)?(?:(\d{1,18})m)?(?:(\d{1,18})s)?", re.ASCII
)


def _duration(value: object) -> object:
    """A duration such as `10s`, `5m` or `1h30m`; a number without a unit would be ambiguous."""
    if not isinstance(value, str):
        if isinstance(value, timedelta):
            return value
        raise ValueError("write a duration with its unit, such as 10s, 5m or 1h30m")
    match = _DURATION.fullmatch(value)
    if not value or match is None:
        raise ValueError(f"'{value[:40]}' is no duration; write 10s, 5m or 1h30m")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    length_s = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if not length_s:
        raise ValueError("a duration is longer than zero")
    if length_s > LONGEST.total_seconds():
        raise ValueError(f"'{value}' is too long: a duration is at most {LONGEST.days} days")
    return timedelta(seconds=length_s)


_DurationText = Annotated[
    str,
    Field(
        pattern=r"^(?=.*[1-9])([0-9]{1,18}d)?([0-9]{1,18}h)?([0-9]{1,18}m)?([0-9]{1,18}s)?$",
        examples=["10s", "5m", "1h30m"],
    ),
]
Duration = Annotated[
    timedelta,
    BeforeValidator(_duration, json_schema_input_type=_DurationText),
    PlainSerializer(lambda value: f"{int(value.total_seconds())}s", return_type=str),
]


def duration_text(duration: timedelta) -> str:
    """The duration in whole days or minutes, otherwise in seconds: `7d`, `10m`, `90s`."""
    total_s = int(duration.total_seconds())
    if total_s % 86400 == 0:
        return f"{total_s // 86400}d"
    return f"{total_s}s" if total_s % 60 else f"{total_s // 60}m"
