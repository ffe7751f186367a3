"""The time that an endpoint asks its clients to wait, in any form of the header."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from services.agent.llm.retry_after import LONGEST_ASKED_S, retry_after_s


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "7"}, None),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, LONGEST_ASKED_S),
        ({"retry-after": "Sat, 01 Jan 0001 00:00:00 +2359"}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "1" + "0" * 400}, LONGEST_ASKED_S),
        ({"retry-after-ms": "1e300"}, LONGEST_ASKED_S),
        ({"retry-after": "-inf"}, 0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Fri, 31 Dec 99999 23:59:59 GMT"}, None),
        ({"retry-after": "Fri, 31 Dec 2027 23:59:59 +9999999999"}, None),
        ({"retry-after": "Fri, 31 Dec 2027 23:59:59 +" + "9" * 400}, None),
    ],
)
def test_a_wait_is_finite_or_none_is_asked_for(
    headers: dict[str, str], expected: float | None
) -> None:
    assert retry_after_s(headers) == expected


@pytest.mark.parametrize(("away_s", "waited_s"), [(600, 600), (-600, 0)])
def test_a_retry_after_date_is_converted_to_seconds_from_now(
    away_s: float, waited_s: float
) -> None:
    at = datetime.now(UTC) + timedelta(seconds=away_s)
    asked = retry_after_s({"retry-after": format_datetime(at, usegmt=True)})
    assert asked == pytest.approx(waited_s, abs=60)
