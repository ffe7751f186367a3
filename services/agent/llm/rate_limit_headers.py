"""What an endpoint's headers say about its rate limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

LONGEST_S = 3600.0
"""A longer wait counts as this one."""

_PART = re.compile(r"(\d{1,9}(?:\.\d+)?)(ms|[hms])")
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_EPOCH_S, _EPOCH_MS = 1e9, 1e12
"""A number from here on is a time, in seconds or in milliseconds, and not a duration."""


def exhausted_s(headers: Mapping[str, str]) -> float | None:
    """Seconds until the endpoint takes requests again, if its headers say that it takes none now.

    Such headers are `x-ratelimit-remaining-requests: 0` and `x-ratelimit-reset-requests: 1m12s`, or
    `anthropic-ratelimit-tokens-remaining: 0` and `…-reset: 2026-01-01T00:00:00Z`: the name of one
    is that of the other with another word. None if something is left of each limit.
    """
    waits = [
        wait_s
        for name, left in headers.items()
        if "ratelimit" in name and "remaining" in name and left.strip() == "0"
        if (wait_s := _reset_s(headers.get(name.replace("remaining", "reset"), ""))) is not None
    ]
    return min(max(waits), LONGEST_S) if waits else None


def _reset_s(value: str) -> float | None:
    """The seconds that a duration, a number of seconds, or a time in one of three forms means."""
    now = datetime.now(UTC)
    value = value.strip()
    try:
        if parts := _PART.findall(value):
            return sum(float(number) * _UNIT_S[unit] for number, unit in parts)
        if not re.fullmatch(r"\d{1,15}(\.\d+)?", value):
            at = datetime.fromisoformat(value)
            return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds())
    except (ValueError, OverflowError):
        return None
    number = float(value)
    if number >= _EPOCH_MS:
        number /= 1000
    return max(0.0, number - now.timestamp()) if number >= _EPOCH_S else number
