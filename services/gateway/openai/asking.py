"""One client that asks an agent: its task is sent, and it waits, follows, or leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from services.gateway.access import audit
from services.gateway.access.caller import Caller
from services.gateway.openai import streams
from services.gateway.openai.errors import RequestError
from services.gateway.tasks import hub as hubs
from services.gateway.tasks.happenings import Happening
from services.gateway.tasks.hub import Hub
from services.gateway.tasks.place import Place
from services.gateway.tasks.submission import SENDER, submit
from services.gateway.tasks.watch import Watch
from shared.client.cancel import publish_cancel, write_cancel
from shared.contract.messages import Cancel, Response, Task
from shared.errors import BrokerError

ON_DISCONNECT = "x-hutch-on-disconnect"
"""With the value `cancel`, a client that leaves cancels its run. Otherwise the run goes on."""

YEAR_S = 365 * 86400.0
"""A run ends by its own deadline, so no wait for it needs another."""


@dataclass
class Asking:
    request: Request
    hub: Hub
    watch: Watch
    caller: Caller

    @classmethod
    async def open(
        cls, request: Request, caller: Caller, stack: AsyncExitStack, agent: str, task_id: str
    ) -> Asking:
        """A client that waits for a task until the stack is closed."""
        hub = hubs.of(request)
        watch = await stack.enter_async_context(hub.watch(agent, task_id, text=True))
        return cls(request, hub, watch, caller)

    async def send(self, task: Task) -> None:
        """Send the task; its id makes a repetition harmless. Raises what `submit` raises."""
        subject = f"{self.watch.agent}/{task.id}"
        await audit.record(self.hub.gateway.store, self.caller, "task.send", subject)
        await submit(self.hub, self.watch, task.model_copy(update={"sender": SENDER}))

    async def answer(self) -> Response:
        """Wait for the response. Raises 503 if this gateway ends, 400 if the client has left."""
        answering = asyncio.create_task(self.watch.response(YEAR_S))
        leaving = asyncio.create_task(_left(self.request))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            answering.cancel()
        if not answering.done():
            await self.leave()
            raise RequestError(HTTPStatus.BAD_REQUEST, "the client has left", code="client_left")
        response = answering.result()
        if response is None:
            raise streams.draining()
        return response

    def happenings(self) -> AsyncGenerator[Happening]:
        """What happens to the task from its beginning. Its caller must close it."""
        return self.watch.happenings(Place())

    def stream(self, events: AsyncIterator[ServerSentEvent]) -> EventSourceResponse:
        self.caller.count_stream()
        return streams.event_stream(events, self.leave)

    async def leave(self) -> None:
        """The client has left: its run goes on, unless it wants it to be cancelled."""
        if self.request.headers.get(ON_DISCONNECT) == "cancel":
            await cancel(self.hub, self.caller, self.watch.agent, self.watch.task_id)


async def cancel(hub: Hub, caller: Caller, agent: str, task_id: str) -> None:
    """Cancel a task and all that it has caused."""
    store = hub.gateway.store
    await audit.record(store, caller, "task.cancel", f"{agent}/{task_id}")
    if await write_cancel(store, agent, task_id):
        with suppress(BrokerError):  # then the processes find the row, a little later
            await publish_cancel(hub.gateway.broker, agent, Cancel(task_id=task_id))


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
