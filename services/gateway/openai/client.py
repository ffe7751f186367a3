"""A client that waits for a task, follows it, or leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import Request
from pydantic import JsonValue
from pydantic_core import to_json
from sse_starlette import ServerSentEvent
from starlette.types import Message

from services.gateway.access import audit
from services.gateway.access.caller import Caller
from services.gateway.openai.wire.errors import RETRY, RequestError
from services.gateway.tasks import hub as hubs
from services.gateway.tasks.event_stream import EventStream
from services.gateway.tasks.happenings import Draining, Happening, Text
from services.gateway.tasks.hub import Hub
from services.gateway.tasks.place import Place
from services.gateway.tasks.submission import SENDER, cancel, submit
from services.gateway.tasks.watch import Watch
from shared.contract.messages import Response, Task
from shared.store.processes.api_keys import Scope

ON_DISCONNECT = "x-hutch-on-disconnect"
"""With the value `cancel`, a client that leaves cancels its run. Otherwise the run goes on."""

YEAR_S = 365 * 86400.0
"""A run ends by its own deadline, so a wait for it needs no other."""

STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "description": "The answer, or with `stream` the events of a stream.",
    }
}
"""Describes the responses of routes that stream if the client asks for that."""


@dataclass
class WaitingClient:
    request: Request
    caller: Caller
    hub: Hub
    watch: Watch
    stack: AsyncExitStack
    """Closed by the route, or by the stream that it returns."""

    @classmethod
    async def open(
        cls,
        request: Request,
        caller: Caller,
        stack: AsyncExitStack,
        agent: str,
        task_id: str,
        *,
        streams: bool = False,
    ) -> WaitingClient:
        """A client that waits for a task of an agent until the stack is closed.

        Raises 429 if it wants a stream and the caller has too many.
        """
        if streams:
            caller.count_stream()
        hub = hubs.of(request)
        watch = await stack.enter_async_context(hub.watch(agent, task_id, text=streams))
        return cls(request, caller, hub, watch, stack)

    async def send(self, task: Task) -> None:
        """Send the task. Its id makes a repetition harmless. Raises what `submit` raises."""
        subject = f"{self.watch.agent}/{task.id}"
        await audit.record(self.hub.gateway.store, self.caller, "task.send", subject)
        await submit(self.hub, self.watch, task.model_copy(update={"sender": SENDER}))

    async def answer(self) -> Response:
        """Wait for the response. Raises 503 if this gateway ends, 400 if the client has left."""
        answering = asyncio.create_task(self.watch.response(YEAR_S))
        leaving = asyncio.create_task(self._disconnected())
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not answering.done():
                answering.cancel()
        if not answering.done():
            await self._leave({})
            raise RequestError(HTTPStatus.BAD_REQUEST, "the client has left", code="client_left")
        response = answering.result()
        if response is None:
            raise draining()
        return response

    async def happenings(self) -> AsyncGenerator[Happening]:
        """What happens to the task from its beginning to its response. Its caller must close it.

        Raises 503 if this gateway ends.
        """
        begun, has_text = time.monotonic(), False
        async with aclosing(self.watch.happenings(Place())) as happenings:
            async for it in happenings:
                if isinstance(it, Draining):
                    raise draining()
                if isinstance(it, Text) and not has_text:
                    has_text = True
                    self.hub.metrics.first_text.observe(time.monotonic() - begun)
                yield it

    def stream(self, events: AsyncIterator[ServerSentEvent]) -> EventStream:
        return EventStream(events, self.hub.metrics, self.stack.pop_all(), self._leave)

    async def cancel(self) -> None:
        """Cancel the task and all that it has caused."""
        await cancel(self.hub, self.caller, self.watch.agent, self.watch.task_id)

    async def _leave(self, _: Message) -> None:
        wants_cancel = self.request.headers.get(ON_DISCONNECT) == "cancel"
        if wants_cancel and Scope.RUN in self.caller.scopes:
            await self.cancel()

    async def _disconnected(self) -> None:
        while (await self.request.receive())["type"] != "http.disconnect":
            pass


def draining() -> RequestError:
    """The error while this gateway ends; the run goes on."""
    return RequestError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "this gateway ends, and the run goes on: send the request again",
        code="gateway_draining",
        headers=RETRY,
    )


def event(body: dict[str, JsonValue], name: str | None = None) -> ServerSentEvent:
    return ServerSentEvent(to_json(body).decode(), event=name, sep="\n")
