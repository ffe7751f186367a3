"""A client that waits for a task, follows it, or leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

from fastapi import Request
from sse_starlette import ServerSentEvent
from starlette.types import Message

from services.gateway.access.caller import Caller
from services.gateway.tasks import hub as hubs
from services.gateway.tasks.event_stream import EventStream
from services.gateway.tasks.happenings import Happening, Text
from services.gateway.tasks.hub import Hub
from services.gateway.tasks.place import Place
from services.gateway.tasks.submission import cancel, submit
from services.gateway.tasks.watch import Watch
from shared.contract.messages import Response, Task
from shared.store.messages.webhooks import Callback
from shared.store.processes.api_keys import Scope
from shared.store.queries.progress import RunProgress

ON_DISCONNECT = "X-Hutch-On-Disconnect"
"""With the value `cancel`, a client that leaves cancels its task. Otherwise the task goes on."""


@dataclass
class WaitingClient:
    request: Request
    caller: Caller
    hub: Hub
    watch: Watch
    held: AsyncExitStack
    """Closed by the route, or by the stream that it returns."""
    has_left: bool = False

    @classmethod
    async def open(
        cls,
        request: Request,
        caller: Caller,
        held: AsyncExitStack,
        agent: str,
        task_id: str,
        *,
        root_id: str | None = None,
        streams: bool = False,
    ) -> WaitingClient:
        """A client that waits for a task of an agent until `held` is closed.

        Raises 429 if it wants a stream and the caller has too many.
        """
        if streams:
            caller.count_stream()
        hub = hubs.of(request)
        watch = hub.watch(agent, task_id, root_id=root_id, text=streams)
        return cls(request, caller, hub, await held.enter_async_context(watch), held)

    async def send(self, task: Task, callback: Callback | None = None) -> RunProgress | None:
        """Send the task, see `submit`."""
        return await submit(self.hub, self.watch, task, self.caller, callback)

    async def response(self, within_s: float) -> Response | None:
        """The task's response; None if there is none in time, if this gateway ends, or if the
        client leaves."""
        waiting = asyncio.create_task(self.watch.response(within_s))
        leaving = asyncio.create_task(self._disconnected())
        try:
            await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            waiting.cancel()
        if waiting.done():
            return waiting.result()
        self.has_left = True
        await self._leave({})
        return None

    async def happenings(self, after: Place) -> AsyncGenerator[Happening]:
        """The happenings of the task after a place, see `Watch.happenings`. Its caller must close
        it."""
        began: float | None = time.monotonic()
        async with aclosing(self.watch.happenings(after)) as happenings:
            async for it in happenings:
                if began is not None and isinstance(it, Text):
                    self.hub.metrics.first_text.observe(time.monotonic() - began)
                    began = None
                yield it

    def stream(
        self, events: AsyncIterator[ServerSentEvent], headers: Mapping[str, str] | None = None
    ) -> EventStream:
        """The events as the response of the route."""
        held = self.held.pop_all()
        return EventStream(events, self.hub.metrics, held, self._leave, headers=headers)

    async def cancel(self) -> None:
        """Cancel the task and all that it has caused."""
        await cancel(self.hub, self.caller, self.watch.agent, self.watch.task_id)

    async def _disconnected(self) -> None:
        while (await self.request.receive())["type"] != "http.disconnect":
            pass

    async def _leave(self, _: Message) -> None:
        wants_cancel = self.request.headers.get(ON_DISCONNECT) == "cancel"
        if wants_cancel and Scope.RUN in self.caller.scopes:
            await self.cancel()
