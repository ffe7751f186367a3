"""Invariants of a system at rest, whatever happened to its processes before.

Slots taken are as many as runs open, in each process; no message waits, none is unacked, but for
the dead letters; every consumer is there; nothing is open in the store or left in its outbox.
"""

from __future__ import annotations

import asyncio
import re
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pika
import pika.exceptions

from shared.contract import topology
from shared.definitions.loader import read_folder
from shared.definitions.model import Definitions
from shared.store import open_store
from shared.store.queries.reports import Load, loads
from tests.support.client import Client
from tests.support.processes.running import Child, System

ABOUT = ("slots", "open runs", "outbox", "waiting", "unacked", "consumers", "processes")
"""The beginnings of the sentences; with a client also `unanswered`, `answered in two ways`."""
PATIENCE_S = 60.0
"""For messages and calls that are still under way: a bad message is retried for seconds."""
POLL_S = 0.2
ANSWER_S = 10.0
_INSTANCE = re.compile(r'"instance": "(([a-z0-9-]+)\.[0-9a-f]{8})"')
_PORT = re.compile(r'"health is served".*"port": (\d+)')


@dataclass(frozen=True)
class Agent:
    """A living process, by what its log says of it."""

    name: str
    instance: str
    port: int


@dataclass(frozen=True)
class Slots:
    """A process's own two counts of its runs, which must agree."""

    taken: int
    open: int


@dataclass(frozen=True)
class Queued:
    ready: int
    consumers: int


@dataclass
class Rest:
    """The violations, in sentences; `settled` waits until there is none."""

    system: System
    broker_url: str
    excused: dict[str, str] = field(default_factory=dict)
    """Sentences that begin so are no fault here, and why not."""

    def settled(self, client: Client | None = None, *, patience_s: float = PATIENCE_S) -> list[str]:
        """Wait until there is no violation; those that are left when the patience is over.

        With a client, one response to each of its tasks is asked for too.
        """
        until = time.monotonic() + patience_s
        while (wrong := self.wrong(client)) and time.monotonic() < until:
            time.sleep(POLL_S)
        return wrong

    def wrong(self, client: Client | None = None) -> list[str]:
        agents = living(self.system.children)
        known = read_folder(Path(self.system.env["HUTCH_AGENTS"])).found
        return self._unexcused(
            [
                *leaked(agents),
                *left_in_store(self.system.env["HUTCH_STORE"]),
                *queued(self.broker_url, agents, known),
                *(client.at_odds() if client else ()),
            ]
        )

    def ended(self) -> list[str]:
        """End every agent; what is wrong with how they end, or with what they have left unacked."""
        agents = living(self.system.children)
        children = [it for it in self.system.children if it.process.poll() is None and is_agent(it)]
        for child in children:
            child.process.send_signal(signal.SIGTERM)
        codes = [(child.name, child.ended()) for child in children]
        known = read_folder(Path(self.system.env["HUTCH_AGENTS"])).found
        names = [*queues_of(agents, known), topology.UNROUTED_QUEUE]
        counts = counted(self.broker_url, names)
        return self._unexcused(
            [
                *(f"processes: {name} ended with code {code}" for name, code in codes if code),
                *(f"unacked: {it.ready} in {name}" for name, it in counts.items() if it.ready),
            ]
        )

    def _unexcused(self, wrong: Iterable[str]) -> list[str]:
        return [it for it in wrong if not it.startswith(tuple(self.excused))]


def is_agent(child: Child) -> bool:
    return "services.agent" in child.name


def living(children: Iterable[Child]) -> list[Agent]:
    """The agents' processes that consume, or did."""
    found = (agent_of(it) for it in children if it.process.poll() is None and is_agent(it))
    return [agent for agent in found if agent is not None]


def agent_of(child: Child) -> Agent | None:
    """None: it has not come so far yet."""
    said = child.first_output
    if (instance := _INSTANCE.search(said)) and (port := _PORT.search(said)):
        return Agent(instance[2], instance[1], int(port[1]))
    return None


def slots(agent: Agent) -> Slots:
    """Raises `OSError` when it does not answer."""
    url = f"http://127.0.0.1:{agent.port}/metrics"
    with urllib.request.urlopen(url, timeout=ANSWER_S) as reply:
        page = reply.read().decode()
    runs = _sample(page, r'hutch_runs{state="running"}') + _sample(
        page, r'hutch_runs{state="waiting"}'
    )
    return Slots(_sample(page, "hutch_slots_taken", runs), _sample(page, "hutch_runs_open", runs))


def _sample(page: str, name: str, otherwise: int = 0) -> int:
    found = re.search(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)
    return int(float(found[1])) if found else otherwise


def leaked(agents: Iterable[Agent]) -> Iterator[str]:
    for agent in agents:
        try:
            now = slots(agent)
        except OSError as error:
            yield f"processes: {agent.instance} does not answer: {error}"
            continue
        if now.taken or now.open:
            yield f"slots: {agent.instance} has {now.taken} taken and {now.open} open runs"


def left_in_store(url: str) -> Iterator[str]:
    for agent, left in sorted(asyncio.run(_loads(url)).items()):
        if open_runs := left.due + left.running + left.waiting:
            yield f"open runs: {open_runs} of {agent}"
        if left.unsent:
            yield f"outbox: {left.unsent} of {agent}"


async def _loads(url: str) -> dict[str, Load]:
    async with open_store(url) as store:
        return await store.read(loads)


def queues_of(agents: Iterable[Agent], known: Definitions) -> Counter[str]:
    """The queues that these processes consume, and the number of consumers of each."""
    found: Counter[str] = Counter()
    for agent in agents:
        found[topology.mailbox_name(agent.name)] += 1
        found[topology.UNROUTED_QUEUE] += 1
        found[topology.reply_queue_name(agent.name, agent.instance)] += 1
        if known[agent.name].swarm:
            found[topology.swarm_queue_name(agent.name)] += 1
    return found


def queued(url: str, agents: Sequence[Agent], known: Definitions) -> Iterator[str]:
    wanted = queues_of(agents, known)
    mailboxes = [topology.mailbox_name(name) for name in known]
    for name, now in counted(url, {*wanted, *mailboxes}).items():
        if now.ready:
            yield f"waiting: {now.ready} in {name}"
        if now.consumers < wanted[name]:
            yield f"consumers: {now.consumers} of {wanted[name]} at {name}"


def counted(url: str, names: Iterable[str]) -> dict[str, Queued]:
    """The depths as the queues count them; queues that do not exist are left out."""
    found: dict[str, Queued] = {}
    with connected(url) as connection:
        for name in sorted(names):
            channel = connection.channel()
            try:
                now = channel.queue_declare(name, passive=True).method
            except pika.exceptions.ChannelClosedByBroker:
                continue
            found[name] = Queued(now.message_count, now.consumer_count)
            channel.close()
    return found


@contextmanager
def connected(url: str) -> Iterator[pika.BlockingConnection]:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        yield connection
    finally:
        connection.close()
