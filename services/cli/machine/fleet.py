"""The processes for a folder of agents on one machine: the model, the scheduler, the agents, the
gateway."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

from services.cli.forking.client import Forks
from services.cli.machine.models import Endpoint
from services.cli.machine.supervisor import LONGEST_LINE, Children, Role, Show
from shared.contract.topology import GATEWAY, SCHEDULER
from shared.errors import SettingsError
from shared.process.orphans import orphan_cleanup
from shared.process.runtime import STOP_S

MARGIN_S = 2.0
"""The time that a child has in addition to its own limits, before it is killed."""
IMPORTED = (
    *("services.scheduler.__main__", "services.scripted.__main__"),
    "services.agent.preload:preload",
)
"""What the processes have in common: the fork server imports and calls it once."""


@contextmanager
def forking(wanted: bool = True) -> Iterator[Forks | None]:
    """A fork server while the context lasts, for `running`; None if the system can't fork.

    Enter it before anything else: see `Forks.fork`.
    """
    if not wanted or not hasattr(os, "fork"):
        yield None
        return
    forks = Forks(IMPORTED, LONGEST_LINE)
    forks.fork()
    try:
        yield forks
    finally:
        forks.end()


@asynccontextmanager
async def running(
    agents: Collection[str],
    endpoint: Endpoint,
    environment: Mapping[str, str],
    show: Show,
    drain_s: float,
    forks: Forks | None,
    *,
    gateway: Mapping[str, str] | None = None,
    health_host: str = "127.0.0.1",
    health_port: int = 0,
) -> AsyncIterator[Fleet]:
    """The agents and a scheduler for them run while the context lasts, and have ended afterwards.

    Without `forks`, each process is started by itself.
    `gateway` has the gateway's own variables; None: no gateway runs.
    With a `health_port`, each has one of the ports after it, otherwise any free one.
    The model answers before the agents start, and ends after them. A process that can't start
    because of its settings or file is left out. When no agent is left, the context is cancelled,
    and the last one's `SettingsError` is raised, in a group.
    """
    end_s = drain_s + STOP_S + MARGIN_S
    common = {
        "HUTCH_HEALTH_PORT": "0",  # a port that the user has set can serve one process only
        "HUTCH_HEALTH_HOST": health_host,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),  # they import from where we do
    }
    everything = {**os.environ, **environment, **endpoint.environment, **common}
    with orphan_cleanup("kill 0") as group:
        if forks:
            forks.prepare(everything, group)
        async with asyncio.TaskGroup() as jobs:
            children = Children(everything, group, show, end_s, forks)
            model = [jobs.create_task(children.keep(role)) for role in _model(endpoint)]
            await endpoint.answering()
            fleet = Fleet(children, jobs, agents, gateway, health_port)
            try:
                yield fleet
            finally:
                await fleet.end()
                await _cancelled(model)


class Fleet:
    """The scheduler, the agents' processes, and perhaps a gateway: `bob`, and with more replicas
    `bob.2`, `bob.3`."""

    def __init__(
        self,
        children: Children,
        jobs: asyncio.TaskGroup,
        agents: Collection[str],
        gateway: Mapping[str, str] | None,
        health_port: int,
    ) -> None:
        self._health_port = health_port
        self._health_ports: dict[str, int] = {}
        self._children = children
        self._jobs = jobs
        self._scheduled = agents
        self._gateway = gateway
        names = [SCHEDULER, *agents, *([] if gateway is None else [GATEWAY])]
        self._replicas = dict.fromkeys(names, 1)
        self._kept: dict[str, asyncio.Task[None]] = {}
        self._changing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._without_fault: set[str] = set()
        self._ending = asyncio.Event()
        for name in self._replicas:
            self._start(name)

    @property
    def replicas(self) -> Mapping[str, int]:
        """How many processes of each agent, the scheduler and the gateway are kept running."""
        return self._replicas

    @property
    def ending(self) -> bool:
        return self._ending.is_set()

    @property
    def health_ports(self) -> Mapping[str, int]:
        """The health port of each process that is to run; empty without a `health_port`."""
        return {name: port for name, port in self._health_ports.items() if name in self._kept}

    def ask_to_end(self) -> None:
        self._ending.set()

    async def asked_to_end(self) -> None:
        """Wait for `ask_to_end`, for SIGINT or SIGTERM, or until all processes have ended.

        After a second signal the processes stop instead of draining.
        """
        loop = asyncio.get_running_loop()

        def signalled() -> None:
            if self._ending.is_set():
                self._children.hurry()
            self._ending.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, signalled)
        await self._ending.wait()

    async def schedule(self, agents: Collection[str]) -> None:
        """Restart the scheduler, for the schedules of these agents."""
        self._scheduled = agents
        self._replicas[SCHEDULER] = 1 if agents else 0
        await self.restart(SCHEDULER)

    async def restart(self, agent: str) -> None:
        """Drain an agent's processes and start them again, also those that had ended."""
        async with self._changing[agent]:
            await self._cancel(name for name in self._kept if _agent(name) == agent)
            for number in range(self._replicas[agent]):
                self._start(_process(agent, number))

    async def scale(self, agent: str, replicas: int) -> None:
        """Start processes of an agent, or drain those that are too many."""
        async with self._changing[agent]:
            self._replicas[agent] = replicas
            wanted = [_process(agent, number) for number in range(replicas)]
            for name in wanted:
                if name not in self._kept or self._kept[name].done():
                    self._start(name)
            await self._cancel(
                name for name in self._kept if _agent(name) == agent and name not in wanted
            )

    async def end(self) -> None:
        self._ending.set()
        await _cancelled(self._kept.values())

    def _start(self, name: str) -> None:
        if self._ending.is_set():
            return
        environment: dict[str, str] = {}
        if self._health_port:
            next_port = self._health_port + len(self._health_ports) + 1
            port = self._health_ports.setdefault(name, next_port)
            environment["HUTCH_HEALTH_PORT"] = str(port)
        if name == SCHEDULER:
            role = Role(name, "services.scheduler", tuple(self._scheduled), environment)
        elif name == GATEWAY:
            role = Role(name, "services.gateway", (), environment | dict(self._gateway or {}))
        else:
            role = Role(name, "services.agent", (_agent(name),), environment)
            self._without_fault.add(name)
        job = self._jobs.create_task(self._keep(role))
        job.add_done_callback(self._ended)
        self._kept[name] = job

    async def _keep(self, role: Role) -> None:
        try:
            await self._children.keep(role)
        except SettingsError:
            self._without_fault.discard(role.name)
            if not self._without_fault:
                raise
            self._children.show(role.name, "not started again; the others go on")

    def _ended(self, job: asyncio.Task[None]) -> None:
        if not job.cancelled() and all(job.done() for job in self._kept.values()):
            self._ending.set()

    async def _cancel(self, names: Iterable[str]) -> None:
        chosen = list(names)
        self._without_fault.difference_update(chosen)
        await _cancelled([self._kept[name] for name in chosen])
        for name in chosen:
            del self._kept[name]


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


def _process(agent: str, number: int) -> str:
    """The name of an agent's process: the agent's own, then with `.2`, `.3`."""
    return f"{agent}.{number + 1}" if number else agent


def _agent(process: str) -> str:
    return process.partition(".")[0]


async def _cancelled(jobs: Collection[asyncio.Task[None]]) -> None:
    for job in jobs:
        if not job.cancelling():  # a second cancellation would interrupt the end of its process
            job.cancel()
    if jobs:
        await asyncio.wait(jobs)
