"""Waiting for a task and following it, with errors in OpenAI's form."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from http import HTTPStatus
from typing import Any

from pydantic import JsonValue
from pydantic_core import to_json
from sse_starlette import ServerSentEvent

from services.gateway.openai.wire.errors import RETRY, RequestError
from services.gateway.tasks.client import WaitingClient
from services.gateway.tasks.happenings import Draining, Happening, RunChanged
from services.gateway.tasks.place import Place
from shared.contract.approvals import ApprovalState
from shared.contract.messages import Response
from shared.store.schema import RunState

YEAR_S = 365 * 86400.0
"""A run ends by its own deadline, so a wait for it needs no other."""

STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "description": "The answer, or with `stream` the events of a stream.",
    }
}
"""Describes the responses of routes that stream if the client asks for that."""


async def answer(client: WaitingClient) -> Response:
    """The response to what the client has sent.

    Raises 503 if this gateway ends before, 400 if the client leaves.
    """
    if response := await client.response(YEAR_S):
        return response
    if client.has_left:
        raise RequestError(HTTPStatus.BAD_REQUEST, "the client has left", code="client_left")
    raise _draining()


async def happenings(client: WaitingClient) -> AsyncGenerator[Happening]:
    """The happenings of the task from its beginning to its response. Its caller must close it.

    Raises 503 if this gateway ends before.
    """
    async with aclosing(client.happenings(Place())) as found:
        async for it in found:
            if isinstance(it, Draining):
                raise _draining()
            yield it


def waits(happening: Happening) -> Sequence[str]:
    """The calls for which a run was parked, each with the command that approves it."""
    if not isinstance(happening, RunChanged) or happening.status != RunState.PARKED:
        return ()
    pending = (it for it in happening.approvals if it.state == ApprovalState.PENDING)
    return [
        f"{it.agent} waits for approval to call {it.name}: hutch approve {it.approval_id}"
        for it in pending
    ]


def _draining() -> RequestError:
    return RequestError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "this gateway ends, and the run goes on: send the request again",
        code="gateway_draining",
        headers=RETRY,
    )


def comment(text: str) -> ServerSentEvent:
    """A line that clients skip and people can read."""
    return ServerSentEvent(comment=text, sep="\n")


def event(body: dict[str, JsonValue], name: str | None = None) -> ServerSentEvent:
    return ServerSentEvent(to_json(body).decode(), event=name, sep="\n")
