"""Two hundred agents that call an endpoint which allows sixty requests a minute.

Four processes hold fifty agents each, as so many processes of their own would not fit into the
memory of one machine. The minutes are shorter here; BENCH_MINUTE_S can be their length in seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from services.agent.instance import Instance
from services.agent.llm.chat import Completion, Model, OnText, Request, User
from services.agent.runs.admission import Admission
from services.agent.runs.models.pause import Pause
from services.agent.runs.models.rate_limits import LimitedModel, RateLimits
from services.agent.runs.store_journal import StoredJournal
from shared.contract.priority import Priority
from shared.errors import LimitReached
from shared.settings.limits import ModelLimits
from shared.store import open_store
from shared.store.database.migrate import migrate
from shared.store.processes import heartbeats
from shared.store.processes.rate_limits import give_back
from shared.store.processes.rate_queue import LeaseRequest
from tests.bench.rig import Found, Rig, Row
from tests.bench.subjects.calling_agents import run_of
from tests.support.processes.instances import instance
from tests.support.processes.running import Child, System

AGENTS, PROCESSES, REQUESTS = 200, 4, 60
MINUTE_S = float(os.environ.get("BENCH_MINUTE_S", "15"))
MINUTES = 8
CALLS = 5
"""The leases that a process holds when it is killed."""
MOST_S = 60.0
COSTS = 300


@dataclass(frozen=True)
class Outcome:
    answered: Mapping[str, int]
    given_up: int
    refused: int
    lasted_s: float
    """From the first answered call to the last."""

    def row(self, how: str) -> list[Row]:
        what = f"{AGENTS} agents, {REQUESTS} requests a minute, {how}"
        served = sorted(self.answered.values())
        asked = sum(served) + self.refused
        spread = f"{served[0]}, {served[len(served) // 2]}, {served[-1]}"
        given_up = f"; {self.given_up} runs given up" if self.given_up else ""
        return [
            Row(f"{what}: requests that were refused with 429", f"{self.refused / asked:.1%}"),
            Row(f"{what}: answered calls, of those possible", f"{self._used():.0%}{given_up}"),
            Row(f"{what}: calls of the least served, the median and the most served", spread),
        ]

    def _used(self) -> float:
        return sum(self.answered.values()) / (REQUESTS * (self.lasted_s / MINUTE_S + 1))


def measure(rig: Rig) -> Found:
    with rig.system() as system, rig.postgresql.database() as url:
        asyncio.run(migrate(url))
        each = _outcome(system, url, None)
        shared = _outcome(system, url, {"requests_per_minute": REQUESTS})
        back_s = asyncio.run(_share_is_back(system, url))
        cost_ms = asyncio.run(_cost_ms(url))
    rows = [*each.row("each by itself"), *shared.row("with shared limits")]
    first, last = f"{back_s[0]:.1f} s", f"{back_s[-1]:.1f} s"
    what = f"a process with {CALLS} of {CALLS} concurrent calls is killed"
    rows.append(Row(f"{what}: another one makes its first; its fifth, after", f"{first}; {last}"))
    rows.append(Row("a lease, granted and returned, PostgreSQL", f"{cost_ms:.1f} ms"))
    return Found(rows)


def _outcome(system: System, url: str, limits: dict[str, int] | None) -> Outcome:
    endpoint = _endpoint(system)
    names = [f"agent-{number}" for number in range(AGENTS)]
    lasts_s = MINUTES * MINUTE_S
    callers = [
        _callers(system, url, endpoint, names[number::PROCESSES], lasts_s, limits)
        for number in range(PROCESSES)
    ]
    answered: dict[str, int] = {}
    given_up = 0
    for child in callers:
        found = child.wait_for(r"answered (\{.*\})", lasts_s + 300)
        for name, (number, lost) in json.loads(found[1]).items():
            answered[name] = number
            given_up += lost
    with urllib.request.urlopen(f"{endpoint}/report") as response:
        report = json.load(response)
    return Outcome(answered, given_up, report["refused"], report["lasted_s"])


def _endpoint(system: System) -> str:
    child = system.start("tests.bench.subjects.limited_endpoint", str(REQUESTS), str(MINUTE_S))
    return child.wait_for(r"running on (http://\S+)")[1]


def _callers(
    system: System,
    url: str,
    endpoint: str,
    names: list[str],
    lasts_s: float,
    limits: dict[str, int] | None,
) -> Child:
    plan = {"agents": names, "window_s": MINUTE_S, "lasts_s": lasts_s, "limits": limits}
    given = {"BENCH_STORE": url, "BENCH_ENDPOINT": f"{endpoint}/v1", "BENCH_PLAN": json.dumps(plan)}
    return system.start("tests.bench.subjects.calling_agents", **given)


class _Held:
    """A model that answers when all have asked it."""

    def __init__(self, number: int) -> None:
        self.asked_at: list[float] = []
        self._all = asyncio.Barrier(number)

    async def complete(self, request: Request, on_text: OnText | None = None) -> Completion:
        self.asked_at.append(time.monotonic())
        await self._all.wait()
        return Completion(content="Done.")


async def _share_is_back(system: System, url: str) -> list[float]:
    """Seconds from the death of a process that held all leases until each was used by another."""
    connected = asyncio.Semaphore(0)

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.release()
        await reader.read()  # until the process dies
        writer.close()

    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    names = [f"held-{number}" for number in range(CALLS)]
    victim = _callers(system, url, endpoint, names, 3600, {"concurrent_calls": CALLS})
    async with server, open_store(url) as store:
        for _ in names:
            await connected.acquire()
        victim.kill()
        killed_at, model = time.monotonic(), _Held(CALLS)
        async with asyncio.timeout(MOST_S), asyncio.TaskGroup() as jobs:
            own = instance(store)
            await store.write("", lambda db: heartbeats.record(db, own.id, own.agent))
            limits = RateLimits({"*": ModelLimits(concurrent_calls=CALLS)}, own, jobs)
            for number in range(CALLS):
                jobs.create_task(_called(own, limits, model, number))
    return [at - killed_at for at in sorted(model.asked_at)]


async def _called(own: Instance, limits: RateLimits, model: Model, number: int) -> None:
    admission, limit = Admission(1), limits.of("tiny")
    slot = admission.try_take()
    assert slot
    assert limit
    run = run_of(own, str(number))
    pause, journal = Pause(own, admission), StoredJournal(own.store, run, fence_check_s=1e9)
    limited = LimitedModel(model, limit, run, Priority.INTERACTIVE, slot, pause, journal)
    while True:
        try:
            await limited.complete(Request([User(content="Go on.")]))
            return
        except LimitReached as reached:
            await asyncio.sleep(reached.wait_s)


async def _cost_ms(url: str) -> float:
    """CPU of this process for a lease."""
    async with open_store(url) as store, asyncio.TaskGroup() as jobs:
        own = instance(store)
        limit = RateLimits({"*": ModelLimits(requests_per_minute=10**6)}, own, jobs).of("tiny")
        assert limit
        began = time.process_time()
        for number in range(COSTS):
            asked = LeaseRequest(f"cost-{number}", f"run-{number}", Priority.INTERACTIVE, 10)
            assert (await limit.ask(asked)).wait_s is None
            await store.write("", partial(give_back, lease_id=asked.lease_id, requests=1, tokens=9))
        return (time.process_time() - began) / COSTS * 1000
