"""The processes for a folder of agents on one machine: the model, the scheduler, the agents."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from services.cli.machine.models import Endpoint
from services.cli.machine.orphans import orphan_cleanup
from services.cli.machine.supervisor import Children, Role, Show
from shared.contract.topology import SCHEDULER
from shared.errors import SettingsError
from shared.process.runtime import STOP_S

MARGIN_S = 2.0
"""The time that a child has in addition to its own limits, before it is killed."""


def roles(agents: Iterable[str]) -> list[Role]:
    """The roles of the scheduler and of each agent."""
    python = (sys.executable, "-P", "-m")  # -P: the user's folder may have a package `shared`
    kept = [Role(SCHEDULER, (*python, "services.scheduler"))]
    return kept + [Role(name, (*python, "services.agent", name)) for name in agents]


@asynccontextmanager
async def running(
    roles: Sequence[Role],
    endpoint: Endpoint,
    environment: Mapping[str, str],
    show: Show,
    drain_s: float,
) -> AsyncIterator[Fleet]:
    """The processes run while the context lasts, and have ended when it is left.

    The model answers before the agents start, and ends after them. A process that can't start
    because of its settings or file is left out. When no agent is left, the context is cancelled,
    and the last one's `SettingsError` is raised, in a group.
    """
    end_s = drain_s + STOP_S + MARGIN_S
    common = {
        "HUTCH_HEALTH_PORT": "0",  # a port that the user has set can serve one process only
        "HUTCH_HEALTH_HOST": "127.0.0.1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),  # they import from where we do
    }
    everything = {**environment, **endpoint.environment, **common}
    with orphan_cleanup("kill 0") as group:
        children = Children(everything, group, show, end_s)
        async with asyncio.TaskGroup() as jobs:
            model = [jobs.create_task(children.keep(role)) for role in _model(endpoint)]
            await endpoint.answering()
            attempt = _Attempt(children, {role.name for role in roles} - {SCHEDULER})
            kept = [jobs.create_task(attempt.keep(role)) for role in roles]
            try:
                yield Fleet(children, kept)
            finally:
                await _cancelled(kept)
                await _cancelled(model)


@dataclass
class _Attempt:
    """Keeps processes running. `agents` are those without a fault in their settings until now."""

    children: Children
    agents: set[str]

    async def keep(self, role: Role) -> None:
        try:
            await self.children.keep(role)
        except SettingsError:
            self.agents.discard(role.name)
            if not self.agents:
                raise
            self.children.show(role.name, "not started again; the others go on")


class Fleet:
    def __init__(self, children: Children, kept: list[asyncio.Task[None]]) -> None:
        self._children = children
        self._kept = kept

    async def ended(self) -> None:
        """Wait until the scheduler and all agents have ended, or for SIGINT or SIGTERM.

        After a second signal the processes stop instead of draining.
        """
        loop = asyncio.get_running_loop()
        ending = asyncio.Event()

        def signalled() -> None:
            if ending.is_set():
                self._children.hurry()
            ending.set()

        def ended(_: asyncio.Task[None]) -> None:
            if all(job.done() for job in self._kept):
                ending.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, signalled)
        for job in self._kept:
            job.add_done_callback(ended)
        await ending.wait()


@contextmanager
def terminable() -> Iterator[None]:
    """In this context SIGTERM raises `KeyboardInterrupt`, so that started processes are ended."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _model(endpoint: Endpoint) -> list[Role]:
    return [endpoint.role] if endpoint.role else []


async def _cancelled(jobs: list[asyncio.Task[None]]) -> None:
    for job in jobs:
        if not job.cancelling():  # a second cancellation would interrupt the end of its process
            job.cancel()
    if jobs:
        await asyncio.wait(jobs)
