from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.agent.llm.errors import judged
from services.agent.llm.rate_limit_headers import LONGEST_S, exhausted_s
from shared.errors import ModelUnavailable

SOON = datetime.now(UTC) + timedelta(seconds=100)


@pytest.mark.parametrize(
    ("remaining", "reset", "value", "least", "most"),
    [
        ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests", "1m2.5s", 62.5, 62.5),
        ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens", "20ms", 0.02, 0.02),
        ("x-ratelimit-remaining", "x-ratelimit-reset", "12", 12, 12),
        ("ratelimit-remaining", "ratelimit-reset", "7.5", 7.5, 7.5),
        ("x-ratelimit-remaining", "x-ratelimit-reset", f"{SOON.timestamp():.0f}", 0, 101),
        ("x-ratelimit-remaining", "x-ratelimit-reset", f"{SOON.timestamp() * 1000:.0f}", 0, 101),
        (
            "anthropic-ratelimit-input-tokens-remaining",
            "anthropic-ratelimit-input-tokens-reset",
            SOON.isoformat().replace("+00:00", "Z"),
            0,
            101,
        ),
        ("x-ratelimit-remaining-requests-day", "x-ratelimit-reset-requests-day", "9h", *[3600] * 2),
    ],
    ids=["minutes", "milliseconds", "seconds", "draft", "epoch", "epoch-ms", "date", "hours"],
)
def test_the_headers_of_each_kind_of_endpoint_say_when_something_is_left_again(
    remaining: str, reset: str, value: str, least: float, most: float
) -> None:
    found = exhausted_s({remaining: "0", reset: value})
    assert found is not None
    assert least <= found <= most
    assert exhausted_s({remaining: "1", reset: value}) is None


def test_the_longest_of_several_waits_counts() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "2s",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "9s",
    }
    assert exhausted_s(headers) == 9


@pytest.mark.parametrize("value", ["", "soon", "12:99", "-5", "9" * 40, "9999999999999s" * 30])
def test_what_can_not_be_read_is_no_wait(value: str) -> None:
    found = exhausted_s({"x-ratelimit-remaining": "0", "x-ratelimit-reset": value})
    assert found is None or 0 <= found <= LONGEST_S


def test_a_429_without_retry_after_is_waited_for_as_its_headers_say() -> None:
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "30s"}
    error = judged(429, {"error": {"message": "slow down"}}, "it answered 429", headers)
    assert isinstance(error, ModelUnavailable)
    assert error.wait_s == 30
    both = judged(429, None, "it answered 429", headers | {"retry-after": "3"})
    assert isinstance(both, ModelUnavailable)
    assert both.wait_s == 3
