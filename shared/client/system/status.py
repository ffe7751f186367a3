"""The condition of a whole system: what its store and its broker say about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.broker.connection import Broker, QueueDepth
from shared.client.dead_letters.remedies import MOST_READ
from shared.client.dead_letters.selection import holding
from shared.client.system.processes import LivingProcesses
from shared.client.system.store_fault import write_fault
from shared.contract.topology import ALL, DEAD_QUEUE, GATEWAY, SCHEDULER, mailbox_name
from shared.definitions.loader import Folder
from shared.definitions.model import RESERVED
from shared.definitions.schedules.schedule import Schedule
from shared.definitions.schedules.times import following
from shared.errors import BrokerError, HutchError, StoreError
from shared.settings.environment import Settings
from shared.settings.secrets import shown_url
from shared.store import Store
from shared.store.messages.dead_letters import kept_number
from shared.store.messages.ticks import TickOutcome
from shared.store.processes import pauses
from shared.store.queries.condition import Condition, ScheduleTicks, condition, schedule_ticks
from shared.store.queries.reports import Load, loads
from shared.store.queries.stuck import LimitWait, limit_waits
from shared.store.schema import REVISION

LATE = timedelta(seconds=60)
"""A scheduler decides on a tick at its time. After so long, none does its work."""


@dataclass(frozen=True)
class AgentStatus:
    """One agent's line. `replicas` are counted by heartbeats, `queued` and `consumers` by the
    broker; a number is None while the store or the broker can't be read. `replicas` are also None
    while the store can't be written: there are no heartbeats then. `due` includes the
    postponed runs. `approvals` are calls that wait for approval."""

    agent: str
    replicas: int | None = None
    queued: int | None = None
    consumers: int | None = None
    due: int | None = None
    delayed: int | None = None
    postponed: int | None = None
    running: int | None = None
    waiting: int | None = None
    parked: int | None = None
    unsent: int | None = None
    approvals: int | None = None
    paused: bool = False


@dataclass(frozen=True)
class ScheduleStatus:
    agent: str
    schedule: str
    last: datetime | None
    outcome: TickOutcome | None
    """The decision on the last tick."""
    next: datetime | None
    """None if no scheduler has seen the schedule yet, or if it has no time left."""
    late: bool
    """The next tick should have been decided on: no scheduler runs, or it does not work."""


@dataclass(frozen=True)
class StoreStatus:
    url: str
    revision: str
    version: str
    size_bytes: int


@dataclass(frozen=True)
class BrokerStatus:
    url: str
    version: str


@dataclass(frozen=True)
class SystemStatus:
    """`takes_messages` is false while the broker blocks publishers because its memory or disk is
    short. What can't be read is None, and `faults` says why."""

    agents: list[AgentStatus]
    scheduler: int | None
    """The number of its processes, None as an agent's `replicas`."""
    gateway: int | None
    """The same for the gateway."""
    schedules: list[ScheduleStatus]
    dead_letters: int | None
    dead_letters_by_reason: dict[str, int]
    """The most frequent reason first; empty if there are more than `MOST_READ`."""
    takes_messages: bool | None
    store: StoreStatus | None
    broker: BrokerStatus | None
    faults: list[str]
    limits: list[LimitWait] = field(default_factory=list)
    """The runs that wait for a limit of a model that all processes share."""


@dataclass(frozen=True)
class _Stored:
    replicas: Counter[str] | None
    load: dict[str, Load]
    paused: Mapping[str, datetime]
    limits: list[LimitWait]
    condition: Condition
    ticks: dict[tuple[str, str], ScheduleTicks]


@dataclass(frozen=True)
class System:
    """The sources of the status; `store` and `broker` are None if they can't be reached."""

    settings: Settings
    folder: Folder | None
    store: Store | None
    processes: LivingProcesses | None
    broker: Broker | None
    broker_url: str = ""


async def system_status(
    system: System, faults: Sequence[HutchError] = (), *, reasons: bool = True
) -> SystemStatus:
    """The status as far as it can be read; `faults` are why the rest can't be.

    Raises `BrokerError`, `StoreError`. Without `reasons`, dead letters are only counted: reading
    them hides them from other readers for a moment.
    """
    found = list(faults)
    files, store, broker = system.folder, system.store, system.broker
    schedules = _schedules(files)
    stored = None
    if store is not None and system.processes is not None:
        stored = await _stored(store, system.processes, schedules)
    if stored and not stored.replicas and (reason := await write_fault(system.settings)):
        found.append(StoreError(f"the store can be read but not written: {reason}"))
        stored = replace(stored, replicas=None)
    names = set(files.names) if files else set()
    if stored:
        names |= set(stored.replicas or ()) | set(stored.load)
    agents = [_agent(name, await _depth(broker, name), stored) for name in sorted(names - RESERVED)]
    dead, by_reason = await _dead_letters(broker, store, read=reasons)
    return SystemStatus(
        agents=agents,
        scheduler=_count(stored, SCHEDULER),
        gateway=_count(stored, GATEWAY),
        schedules=_schedule_statuses(schedules, stored) if stored else [],
        dead_letters=dead,
        dead_letters_by_reason=by_reason,
        takes_messages=await _takes_messages(broker) if broker else None,
        store=_store_status(system.settings, stored.condition) if stored else None,
        broker=BrokerStatus(shown_url(system.broker_url), await broker.version())
        if broker
        else None,
        faults=[str(error) for error in found],
        limits=stored.limits if stored else [],
    )


def _schedules(files: Folder | None) -> dict[tuple[str, str], Schedule]:
    found = files.found if files else {}
    return {(it.name, one.name): one for it in found.values() for one in it.schedule}


async def _stored(
    store: Store, processes: LivingProcesses, schedules: dict[tuple[str, str], Schedule]
) -> _Stored:
    return _Stored(
        replicas=await processes.count(),
        load=await store.read(loads),
        paused=await store.read(pauses.paused),
        limits=await store.read(limit_waits),
        condition=await store.read(condition),
        ticks=await store.read(lambda connection: schedule_ticks(connection, schedules)),
    )


def _count(stored: _Stored | None, name: str) -> int | None:
    return None if stored is None or stored.replicas is None else stored.replicas[name]


async def _depth(broker: Broker | None, agent: str) -> QueueDepth | None:
    """The depth of the mailbox; zero if the agent was never started; None without the broker."""
    return (await broker.depth(mailbox_name(agent)) or QueueDepth(0, 0)) if broker else None


def _agent(name: str, depth: QueueDepth | None, stored: _Stored | None) -> AgentStatus:
    queued, consumers = (depth.messages, depth.consumers) if depth else (None, None)
    if stored is None:
        return AgentStatus(name, queued=queued, consumers=consumers)
    return AgentStatus(
        name,
        _count(stored, name),
        queued,
        consumers,
        **vars(stored.load.get(name, Load())),
        paused=bool(stored.paused.keys() & {name, ALL}),
    )


async def _dead_letters(
    broker: Broker | None, store: Store | None, *, read: bool
) -> tuple[int | None, dict[str, int]]:
    depth = await broker.depth(DEAD_QUEUE) if broker else None
    if broker is None:
        return None, {}
    if depth is None:
        return 0, {}
    if depth.messages > MOST_READ:
        return depth.messages, {}
    if not read:
        return depth.messages + (await store.read(kept_number) if store else 0), {}
    try:
        async with holding(broker, store) as held:
            return len(held), dict(Counter(it.reason for it in held).most_common())
    except BrokerError:  # our user may not read them
        return depth.messages, {}


async def _takes_messages(broker: Broker) -> bool | None:
    try:
        return await broker.takes_messages()
    except BrokerError:  # our user may not publish the probe
        return None


def _schedule_statuses(
    schedules: dict[tuple[str, str], Schedule], stored: _Stored
) -> list[ScheduleStatus]:
    return [_schedule(key, schedules[key], stored) for key in sorted(schedules)]


def _schedule(key: tuple[str, str], schedule: Schedule, stored: _Stored) -> ScheduleStatus:
    ticks, now = stored.ticks[key], stored.condition.now
    coming = next(following(schedule, ticks.decided_until), None) if ticks.decided_until else None
    late = coming is not None and now - coming > LATE
    return ScheduleStatus(*key, ticks.last, ticks.outcome, coming, late)


def _store_status(settings: Settings, found: Condition) -> StoreStatus:
    return StoreStatus(shown_url(settings.store()), REVISION, found.version, found.size_bytes)
