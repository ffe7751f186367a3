"""The wait that an endpoint asks for in the headers of a failed request."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_ASKED_S = 3600.0
"""A longer wait counts as this one."""


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds from `retry-after-ms` or `retry-after` (seconds or a date); None if unreadable."""
    milliseconds, seconds = headers.get("retry-after-ms"), headers.get("retry-after")
    try:
        if milliseconds is not None:
            asked = float(milliseconds) / 1000
        elif seconds is not None:
            asked = float(seconds)
        else:
            return None
    except ValueError:
        asked = _seconds_until(seconds or "")
    return None if math.isnan(asked) else min(max(asked, 0.0), LONGEST_ASKED_S)


def _seconds_until(date: str) -> float:
    try:
        at = parsedate_to_datetime(date)
        return (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):  # OverflowError: impossible years and zones
        return math.nan
