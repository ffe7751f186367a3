"""What an error of an endpoint means, and how long it asks its clients to wait."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic import JsonValue

from services.agent.llm.errors import LONGEST_ASKED_S, FewTries, Filtered, judged, retry_after_s
from shared.errors import ContextExceeded, ModelError, ModelUnavailable


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


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Rate limit reached. Please try again in 6m0.5s. Visit …", 360.5),
        ("Please try again in 20ms.", 0.02),
        ("Please retry in 34.5s.", 34.5),
        ("{'@type': 'RetryInfo', 'retryDelay': '34s'}", 34),
        ("try again in 999999999h", LONGEST_ASKED_S),
        ("try again in a while", None),
    ],
)
def test_a_wait_can_be_in_the_words_of_the_error(written: str, expected: float | None) -> None:
    assert retry_after_s({}, written) == expected
    assert retry_after_s({"retry-after": "7"}, written) == 7


OPENAI_400 = {"type": "invalid_request_error", "param": None}


@pytest.mark.parametrize(
    ("message", "window"),
    [
        (
            "This model's maximum context length is 128000 tokens. However, your messages "
            "resulted in 130042 tokens. Please reduce the length of the messages.",
            128_000,
        ),
        ("prompt is too long: 210000 tokens > 200000 maximum", 200_000),
        (
            "The input token count (1200000) exceeds the maximum number of tokens allowed "
            "(1048576).",
            1_048_576,
        ),
        (
            "Prompt contains 140,000 tokens and 0 draft tokens, too large for model with 131,072 "
            "maximum context length",
            131_072,
        ),
        (
            "'max_tokens' is too large: 4000. This model's maximum context length is 4096 tokens "
            "and your request has 200 input tokens",
            4_096,
        ),
        ("Your input exceeds the context window of this model. Please adjust your input.", None),
        ("the request exceeds the available context size, try increasing it", None),
    ],
)
@pytest.mark.parametrize("status", [400, 413, 500])
def test_a_request_that_is_too_long_is_known_by_its_words(
    status: int, message: str, window: int | None
) -> None:
    error = judged(status, {"message": message, **OPENAI_400}, "")
    assert isinstance(error, ContextExceeded)
    assert error.window == window


def test_a_request_that_is_too_long_is_known_by_its_code() -> None:
    said = {"message": "too long", "type": "exceed_context_size_error", "n_ctx": 4096}
    for body in ({"code": "context_length_exceeded"}, {"error": said}):
        assert isinstance(judged(400, body, ""), ContextExceeded)
    error = judged(400, {"error": said}, "")
    assert isinstance(error, ContextExceeded)
    assert error.window == 4096


def test_a_limit_of_tokens_per_minute_is_no_context() -> None:
    message = "Request too large for model on tokens per minute: Limit 6000, Requested 9000, "
    error = judged(429, {"message": f"{message}reduce the length of the messages"}, "")
    assert isinstance(error, ModelUnavailable)
    assert error.reason == "rate_limited"


AZURE = {
    "message": "The response was filtered due to the prompt triggering Azure OpenAI's content "
    "management policy.",
    "code": "content_filter",
    "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}},
}


@pytest.mark.parametrize("body", [AZURE, AZURE | {"code": None}, {"error": AZURE}])
def test_a_content_filter_is_no_bad_request(body: JsonValue) -> None:
    assert isinstance(judged(400, body, ""), Filtered)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"code": "tool_use_failed", "message": "Failed to call a function."}),
        (400, {"message": "bad", "failed_generation": "<function=lookup"}),
        (500, {"message": "Failed to parse tool call arguments as JSON"}),
        (500, {"message": "Jinja Exception: Conversation roles must alternate"}),
        (503, "Error rendering prompt with jinja template"),
        (500, {"message": "No user query found in messages."}),
    ],
)
def test_a_broken_call_and_a_template_error_are_tried_a_few_times(
    status: int, body: JsonValue
) -> None:
    assert isinstance(judged(status, body, ""), FewTries)


@pytest.mark.parametrize(
    ("status", "body", "public"),
    [
        (402, {"message": "Insufficient Balance"}, "has no balance left"),
        (400, {"code": "billing_not_active"}, "has no balance left"),
        (429, {"type": "insufficient_quota"}, "the model's quota is spent"),
        (404, {"message": "The model `x` does not exist", "code": "model_not_found"}, "no such"),
        (404, {"code": "DeploymentNotFound", "message": "The API deployment …"}, "no such model"),
        (404, "<html><title>Not Found</title></html>", "nothing at this address"),
        (404, {"detail": "Not Found"}, "nothing at this address"),
        (401, {"message": "no"}, "refused the key"),
        (403, [{"error": {"message": "no"}}], "refused the key"),
        (400, {"message": "no"}, "refused the request"),
        (None, {"code": 400, "message": "no"}, "refused the request"),
        (None, {"code": "400"}, "refused the request"),
        (None, {"type": "invalid_request_error"}, "refused the request"),
        (422, {"detail": [{"loc": ["body"], "msg": "Field required"}]}, "failed"),
    ],
)
def test_a_lasting_error_has_a_sentence_of_its_own(
    status: int | None, body: JsonValue, public: str
) -> None:
    error = judged(status, body, "")
    assert public in error.public
    assert type(error) is ModelError


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (502, "<html>"),
        (425, {}),
        (500, []),
        (None, "overloaded"),
        (None, {"code": "server_error"}),
        (None, {"code": 200}),
    ],
)
def test_any_other_error_can_pass(status: int | None, body: JsonValue) -> None:
    error = judged(status, body, "")
    assert isinstance(error, ModelUnavailable)
    assert error.reason == "unavailable"


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"error": {"message": "no"}}, "no"),
        ([{"error": {"code": 400, "message": "no", "status": "INVALID"}}], "no"),
        ({"errors": [{"message": "no", "code": 5006}], "success": False}, "no"),
        ({"error": "no"}, "no"),
        ("no", "no"),
        ("<html><head><title>\n 502 Bad Gateway</title></head>…", "a web page: 502 Bad Gateway"),
        (None, ""),
        ({"message": {"detail": [{"loc": ["x"], "msg": "no"}]}}, "'loc': ['x']"),
        ({"error": {"message": "Provider error", "metadata": {"raw": "no"}}}, "Provider error no"),
        ({"error": {"message": "Provider error", "metadata": {"raw": None}}}, "Provider error"),
    ],
)
def test_the_endpoints_words_are_found_in_any_form(body: JsonValue, shown: str) -> None:
    assert shown in str(judged(400, body, "said"))


def test_a_rate_limit_inside_a_reply_is_one() -> None:
    for body in ({"code": 429}, {"code": "rate_limit_exceeded", "message": "try again in 2s"}):
        error = judged(None, body, "")
        assert isinstance(error, ModelUnavailable)
        assert (error.reason, error.wait_s) == ("rate_limited", 2 if "message" in body else None)


@pytest.mark.parametrize(
    "words",
    ["<title>", "prompt tokens ", "context length ", "exceeds the maximum ", "try again in 1"],
)
def test_a_report_of_any_length_is_judged_at_once(words: str) -> None:
    began = time.monotonic()
    judged(400, {"message": words * 1_000_000}, "")
    judged(400, words * 1_000_000, "")
    assert time.monotonic() - began < 2
