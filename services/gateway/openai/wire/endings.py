"""How OpenAI's clients see a run that has ended.

Clients repeat a request after 408, 409, 429 and 5xx. The error for a run without an answer is none
of these: the question would be asked in another run.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from services.gateway.openai.wire.errors import NO_RETRY, RequestError
from shared.contract.messages import Response, Status


@dataclass(frozen=True)
class Ending:
    """A `finish_reason` of chat completions, or without one the `code` of an error; and the status
    of the Responses API."""

    finish_reason: Literal["stop", "length", "content_filter"] | None
    code: str
    status: Literal["completed", "incomplete", "failed", "cancelled"]
    incomplete: Literal["max_output_tokens", "content_filter"] | None = None


_ENDINGS = {
    Status.OK: Ending("stop", "", "completed"),
    Status.PARTIAL: Ending("length", "", "incomplete", "max_output_tokens"),
    Status.REFUSED: Ending("content_filter", "", "incomplete", "content_filter"),
    Status.FAILED: Ending(None, "run_failed", "failed"),
    Status.TIMEOUT: Ending(None, "run_timeout", "failed"),
    Status.CANCELLED: Ending(None, "run_cancelled", "cancelled"),
}
_NOT_RUN = Ending(None, "run_refused", "failed")
"""Refused before any model was asked: the request is at fault, not the answer."""


def ending_of(response: Response) -> Ending:
    if response.status is Status.REFUSED and not response.usage.model_calls:
        return _NOT_RUN
    return _ENDINGS[response.status]


def error_of(response: Response) -> RequestError:
    """The error that stands for a run without an answer."""
    return RequestError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        response.content or f"the run ended: {response.status}",
        code=ending_of(response).code,
        headers=NO_RETRY,
    )
