"""The upkeep of a process without a broker, over a real store; its runs end without a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from services.agent.instance import Instance
from services.agent.runs.admission import Admission
from services.agent.upkeep.commands import Commands
from services.agent.upkeep.heartbeat import POLL_S, Heartbeat
from services.agent.upkeep.takeover import Takeover
from shared.process.stopping import Stopping
from shared.store import Store
from shared.store.queries.reports import Row, find
from tests.support.processes.instances import runs_of


@asynccontextmanager
async def polling(
    own: Instance, admission: Admission, poll_s: float = POLL_S
) -> AsyncIterator[None]:
    """Heartbeats, polls and takeovers, as long as the block lasts."""
    async with asyncio.timeout(10), asyncio.TaskGroup() as jobs:
        open_runs = runs_of(own, admission, jobs)
        execution, outbox = open_runs.execution, open_runs.execution.endings.outbox
        pause, scopes = execution.parts.pause, execution.scopes
        commands = Commands(own, admission, open_runs, pause, scopes, Stopping(), jobs)
        takeover = Takeover(own, admission, open_runs, outbox)
        serving = jobs.create_task(Heartbeat(own, admission, takeover, commands, poll_s).serve())
        await asyncio.sleep(0)
        yield
        serving.cancel()
        await open_runs.hand_over()
        outbox.stop()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - only a test waits for it
        await asyncio.sleep(0.01)


async def found(store: Store, task_id: str = "t1") -> Row:
    (row,) = await store.read(lambda db: find(db, task_id))
    return row


async def until_failed(store: Store) -> None:
    while (await found(store)).status != "failed":  # noqa: ASYNC110 - only a test waits for it
        await asyncio.sleep(0.01)
