"""`tools/call`: a task for an agent, whose end the client waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from anyio import move_on_after

from services.gateway.mcp.client import Client, Context
from services.gateway.tasks.happenings import Draining, Ended, RunChanged, StepDone
from services.gateway.tasks.hub import Hub
from services.gateway.tasks.place import Place
from services.gateway.tasks.submission import cancel, submit
from services.gateway.tasks.watch import Watch
from shared.contract.messages import Response, Task

YEAR_S = 365 * 86400.0
"""A run ends by its own deadline, so a wait for it needs no other."""

PROGRESS_S = 10.0
"""Seconds between two notifications while nothing happens: many clients give a call up after 60 s
without one."""

CANCEL_S = 5.0
"""So long a cancel may take after its client has left."""


@asynccontextmanager
async def sent(hub: Hub, client: Client, agent: str, task: Task) -> AsyncIterator[Watch]:
    """Send the task; within the context, leaving cancels it if the protocol says so."""
    task_id = task.id or ""
    async with hub.watch(agent, task_id) as watch:
        try:
            await submit(hub, watch, task, client.caller)
            yield watch
        except asyncio.CancelledError:
            if client.leaving_cancels and not hub.gateway.stopping.mode:
                with move_on_after(CANCEL_S, shield=True):
                    await cancel(hub, client.caller, agent, task_id)
            raise


async def answer(watch: Watch, context: Context) -> Response | None:
    """The task's response, with notifications of its progress if the client wants them; None if
    this gateway ends before."""
    if not (context.meta and context.meta.get("progress_token") is not None):
        return await watch.response(YEAR_S)
    progress = Progress(context, watch.agent)
    async with asyncio.TaskGroup() as jobs:
        reminding = jobs.create_task(progress.remind())
        response = await _followed(watch, progress)
        reminding.cancel()
    return response


async def _followed(watch: Watch, progress: Progress) -> Response | None:
    async with aclosing(watch.happenings(Place())) as happenings:
        async for it in happenings:
            match it:
                case RunChanged():
                    await progress.report(f"{it.agent}: {it.status}")
                case StepDone():
                    await progress.report(f"{it.agent} has called {it.name or 'its model'}")
                case Ended():
                    return it.response
                case Draining():
                    return None
    return None


class Progress:
    """The notifications of one call. Their number is the progress, as MCP demands that it grows."""

    def __init__(self, context: Context, agent: str) -> None:
        self._context = context
        self._number = 0
        self._message = f"{agent}: sent"

    async def report(self, message: str) -> None:
        self._message = message
        self._number += 1
        await self._context.session.report_progress(self._number, None, message)

    async def remind(self) -> None:
        """Repeat the last message every `PROGRESS_S`, until cancelled."""
        while True:
            await asyncio.sleep(PROGRESS_S)
            await self.report(self._message)
