"""The meaning of endpoints' errors, which depends on their codes and words more than on the status.

An endpoint reports an error by a status, inside a successful reply, or inside a stream. Reports are
read leniently: as an object, a list, a text or a web page.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from pydantic import SecretStr

from services.agent.llm.rate_limit_headers import exhausted_s
from shared.contract.rows import storable
from shared.errors import (
    ContextExceeded,
    ModelError,
    ModelFault,
    ModelUnavailable,
    SettingsError,
)

if TYPE_CHECKING:
    import openai

LONGEST_ASKED_S = 3600.0
"""A longer wait counts as this one."""
MAX_DETAIL_CHARS = 500
MAX_REPORT_CHARS = 4_000
"""The part of an error that is searched for its meaning."""
UNUSABLE = "the model's endpoint did not answer as it should"

_RETRYABLE = frozenset({408, 409, 425, 429})
"""Statuses below 500 after which the same request can succeed later."""
_BALANCE = frozenset({"402", "insufficient_balance", "billing_not_active"})
_FILTER = frozenset({"content_filter", "ResponsibleAIPolicyViolation", "content_policy_violation"})
_REFUSED = frozenset({"invalid_request_error", "invalid_prompt", "invalid_argument"})
_CONTEXT = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_TOO_LONG = re.compile(
    r"maximum context length|prompt is too long|reduce the length of the (messages|prompt)"
    r"|context (size|window|length)[^.]{0,80}exceed"
    r"|exceeds? (the |its )?(available |maximum |max |model'?s? ){0,3}(context|number of tokens)"
    r"|(input|prompt)[^.]{0,80}(tokens|length)[^.]{0,80}exceeds"
    r"|input is too large|inputs?\W{1,3}must have less than",
    re.IGNORECASE,
)
_WINDOW = re.compile(
    r"maximum context length (?:is|of) (\d+)|> (\d+) maximum|tokens allowed \((\d+)\)"
    r"|with (\d+) maximum context length|context (?:size|window|length)[^\d]{0,30}(\d{3,})"
    r"|n_ctx\W+(\d+)",
    re.IGNORECASE,
)
_BROKEN_CALL = re.compile(
    r"failed_generation|failed to call a function|failed to parse (tool|input)"
    r"|malformed.function.call",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(
    r"template|jinja|roles must alternate|no user query found|system message must be",
    re.IGNORECASE,
)
_HOLDERS = ("error", "errors", "detail", "message")
_TITLE = re.compile(r"<title>\s*(.*?)\s*</title>", re.IGNORECASE | re.DOTALL)
_MODEL = re.compile(r"model|deployment", re.IGNORECASE)
_WAIT = re.compile(
    r"(?:again|retry) in ((?:\d{1,9}(?:\.\d{1,9})?(?:ms|[hms]))+)|retryDelay\W+(\d{1,9}(?:\.\d+)?s)"
)
_WAIT_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[hms])")
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class FewTries(ModelError):
    """An error of which the status says too little: retried, but less often than an outage.

    A call that the model wrote wrongly is reported as a bad request, and often written well at the
    next try. A chat template that can't render the history is reported as an outage, and never
    passes.
    """


class Filtered(ModelError):
    """The endpoint's content filter has refused the request."""


@dataclass(frozen=True)
class Report:
    """An endpoint's report of an error, whatever form it has."""

    codes: frozenset[str]
    text: str
    """The message for people."""
    whole: str

    @classmethod
    def read(cls, body: object) -> Report:
        whole, inner = _shown(body), body
        while step := _inside(inner):
            inner = step
        if not isinstance(inner, dict):
            page = _TITLE.search(whole)
            return cls(frozenset(), f"a web page: {page[1]}" if page else whole, whole)
        codes = {_shown(inner.get(it)) for it in ("code", "type", "status", "error_type")}
        if isinstance(cause := inner.get("innererror"), dict):
            codes.add(_shown(cause.get("code")))
        texts = (inner.get(it) for it in ("message", "error", "detail"))
        text = next((_shown(it) for it in texts if isinstance(it, str) and it), whole)
        if isinstance(inner.get("metadata"), dict):  # a gateway's, with the words of another
            text = f"{text} {_shown(inner['metadata'].get('raw'))}".strip()
        return cls(frozenset(codes), text, whole)


def _inside(body: object) -> object:
    """The next inner part of an error that may hold its code and message; None: it is this one."""
    if isinstance(body, list):
        return body[0] if body else None
    parts = (body.get(it) for it in _HOLDERS) if isinstance(body, dict) else ()
    return next((it for it in parts if it and isinstance(it, dict | list)), None)


def _shown(body: object) -> str:
    try:
        return "" if body is None else str(body)[:MAX_REPORT_CHARS]
    except RecursionError:
        return "an error nested too deep"


def judged(
    status: int | None, body: object, prefix: str, headers: Mapping[str, str] | None = None
) -> ModelError:
    """The error that a report means; `prefix` comes before the endpoint's words in its text.

    `status` is None for a report inside a reply or a stream: then a code can be a status.
    """
    report = Report.read(body)
    whole, codes = report.whole, report.codes
    if status is None:
        status = next((int(it) for it in codes if re.fullmatch(r"[1-5]\d\d", it)), None)
    detail = f"{prefix}: {report.text}" if report.text else prefix
    if status == 402 or codes & _BALANCE:
        public = "the account at the model's endpoint has no balance left"
        return ModelError(detail, public=public, reason="quota")
    if "insufficient_quota" in codes:
        return ModelError(detail, public="the model's quota is spent", reason="quota")
    if codes & _FILTER:
        return Filtered(detail, public="the endpoint's content filter refused it", reason="refused")
    if status != 429 and (codes & _CONTEXT or _TOO_LONG.search(report.text)):
        public = "the conversation is longer than the model can read"
        too_long = ContextExceeded(detail, public=public, reason="refused")
        too_long.window = _window(whole)
        return too_long
    if "tool_use_failed" in codes or _BROKEN_CALL.search(whole):
        public = "the model wrote a call that its endpoint can't read"
        return FewTries(detail, public=public, reason="invalid")
    if status is not None and status >= 500 and _TEMPLATE.search(report.text):
        return FewTries(detail, public="the model's endpoint failed", reason="unavailable")
    if _is_lasting(status, codes):
        return ModelError(detail, public=_public(status, report), reason="refused")
    limited = status == 429 or "rate_limit_exceeded" in codes
    reason: ModelFault = "rate_limited" if limited else "unavailable"
    public = "the model is overloaded" if limited else "the model's endpoint failed"
    failure = ModelUnavailable(detail, public=public, reason=reason)
    failure.wait_s = retry_after_s(headers or {}, whole)
    if limited and failure.wait_s is None:
        failure.wait_s = exhausted_s(headers or {})
    return failure


def is_rate_limited(error: BaseException | None) -> bool:
    """Whether the endpoint has refused a request because of a rate limit."""
    return isinstance(error, ModelUnavailable) and error.reason == "rate_limited"


def no_reply(fault: str) -> ModelUnavailable:
    """The error for a reply without an answer: the same request can bring one."""
    return ModelUnavailable(f"the endpoint's reply is not usable: {fault}", public=UNUSABLE)


def invalid_reply(fault: str) -> ModelError:
    """The error for a reply in another form than its wire's: the next would be no better."""
    return ModelError(f"the endpoint's reply is not usable: {fault}", public=UNUSABLE)


def translate_error(error: Exception, api_key: SecretStr | None) -> ModelError:
    """The `ModelError` for any error of a call; its texts never contain the key."""
    import httpx2
    import openai

    match error:
        case ModelError():
            failure = error
        case SettingsError():  # the client could not be made
            public = "the model can't be reached"
            failure = ModelUnavailable(str(error), public=public, reason="unavailable")
        case openai.APIStatusError():
            failure = _status_error(error)
        case openai.APITimeoutError() | TimeoutError() | httpx2.TimeoutException():
            why = "the model did not answer in time"
            failure = ModelUnavailable(why, public="the model timed out", reason="timeout")
        case openai.APIConnectionError() | OSError() | httpx2.RequestError():
            why = f"the model's endpoint can't be reached: {error.__cause__ or error}"
            public = "the model can't be reached"
            failure = ModelUnavailable(why, public=public, reason="unavailable")
        case _:
            failure = ModelError(f"{type(error).__name__}: {error}")
    failure.args = (_clean(str(failure), api_key),)
    return failure


def is_stale_connection(error: Exception) -> bool:
    """Whether the endpoint had closed a kept connection before it answered the request."""
    import httpx2

    match error.__cause__:
        case httpx2.RemoteProtocolError() as cause:
            return "without sending a response" in str(cause)
        case httpx2.ReadError() | httpx2.WriteError():
            return True
    return False


def _status_error(error: openai.APIStatusError) -> ModelError:
    status, headers = error.status_code, error.response.headers
    if 300 <= status < 400:
        to = headers.get("location", "an unnamed address")
        text = f"the model's endpoint redirects to {to}: if that is right, name it as the base URL"
        return ModelError(text, public="the model's endpoint failed", reason="refused")
    return judged(status, error.body, f"the model's endpoint answered {status}", headers)


def _is_lasting(status: int | None, codes: frozenset[str]) -> bool:
    if status is None:
        return bool({code.lower() for code in codes} & _REFUSED)
    return 400 <= status < 500 and status not in _RETRYABLE


def _public(status: int | None, report: Report) -> str:
    if status in {401, 403}:
        return "the model's endpoint refused the key"
    if status == 404:
        if "model_not_found" in report.codes or _MODEL.search(report.text):
            return "the model's endpoint knows no such model"
        return "the model's endpoint has nothing at this address: check the base URL"
    return {
        None: "the model's endpoint refused the request",
        400: "the model's endpoint refused the request",
    }.get(status, "the model's endpoint failed")


def _window(text: str) -> int | None:
    found = _WINDOW.search(re.sub(r"(?<=\d),(?=\d{3})", "", text))
    digits = next((it for it in found.groups() if it), "") if found else ""
    return int(digits) if 0 < len(digits) < 10 else None


def _clean(text: str, api_key: SecretStr | None) -> str:
    """The text without the key, storable and cut."""
    key = api_key.get_secret_value() if api_key else ""
    text = storable(text)
    return (text.replace(key, "***") if key else text)[:MAX_DETAIL_CHARS]


def retry_after_s(headers: Mapping[str, str], body: str = "") -> float | None:
    """Seconds to wait, from `retry-after-ms` or `retry-after` (seconds or a date), else from the
    error's own words; None if unreadable.
    """
    milliseconds, seconds = headers.get("retry-after-ms"), headers.get("retry-after")
    try:
        if milliseconds is not None:
            asked = float(milliseconds) / 1000
        elif seconds is not None:
            asked = float(seconds)
        else:
            asked = _written_s(body)
    except ValueError:
        asked = _seconds_until(seconds or "")
    return None if math.isnan(asked) else min(max(asked, 0.0), LONGEST_ASKED_S)


def _written_s(body: str) -> float:
    found = _WAIT.search(body)
    if not found:
        return math.nan
    parts = _WAIT_PART.findall(found[1] or found[2])
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)


def _seconds_until(date: str) -> float:
    try:
        at = parsedate_to_datetime(date)
        return (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):  # OverflowError: impossible years and zones
        return math.nan
