"""A gateway dies or ends, or broker and store go away, while clients follow their tasks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from tests.support.brokers.rabbitmq import Rabbit
from tests.support.gateway import ServerEvent, client, gateway, stream, text_of
from tests.support.processes.agents import calling, define
from tests.support.processes.running import System
from tests.support.stores.postgresql import Postgres

pytestmark = pytest.mark.long

STREAMS = 50
TASK = calling("bob", "[[latency 8]][[reply Done.]]")
AWAY_S = 4.0


@dataclass
class Follower:
    """Follows a task as a browser does: after a lost connection at the next gateway."""

    gateways: list[httpx2.AsyncClient]
    path: str
    events: list[ServerEvent] = field(default_factory=list)
    connections: int = 0

    async def follow(self) -> None:
        async with asyncio.timeout(120):
            while not self.events or self.events[-1].name != "response":
                asked = self.gateways[self.connections % len(self.gateways)]
                self.connections += 1
                try:
                    async with stream(asked, self.path, self.last) as events:
                        async for it in events:
                            self.events.append(it)
                except httpx2.TransportError:
                    await asyncio.sleep(0.1)

    @property
    def last(self) -> str | None:
        return next((it.id for it in reversed(self.events) if it.id), None)

    def check(self) -> None:
        """Nothing is lost, and nothing has come twice."""
        assert [it.name for it in self.events].count("response") == 1
        steps = [
            (it.data["agent"], it.data["turn"], it.data["position"])
            for it in self.events
            if it.name == "step"
        ]
        assert steps == [("alice", 1, 0), ("bob", 1, 0), ("alice", 1, 1), ("alice", 2, 0)]
        ended = [it.data["agent"] for it in self.events if it.data.get("status") == "ok"]
        assert ended == ["bob", "alice", "alice"]
        answer = self.events[-1].data["content"]
        assert text_of(self.events)[2] == answer


async def begun(http: httpx2.AsyncClient, number: int) -> str:
    new = {"agent": "alice", "content": TASK, "stream": True, "id": f"t{number}"}
    response = await http.post("/api/tasks", json=new)
    assert response.status_code == 202, response.text
    path: str = response.json()["links"]["events"]
    return path


@pytest.fixture
def managed(system: System, agents: Path) -> System:
    limits = f"limits: {{concurrency: {STREAMS}}}"
    define(agents, system, alice=f"workers: [bob]\n{limits}", bob=limits)
    system.agents("bob", "alice")
    return system


async def test_a_gateway_that_is_killed_under_many_streams_costs_their_clients_nothing(
    managed: System,
) -> None:
    (one, first), (_, second) = gateway(managed), gateway(managed)
    async with client(first) as a, client(second) as b, asyncio.TaskGroup() as jobs:
        paths = await asyncio.gather(*(begun(a, number) for number in range(STREAMS)))
        followers = [Follower([a, b], path) for path in paths]
        following = [jobs.create_task(it.follow()) for it in followers]
        async with asyncio.timeout(60):
            while not all(len(it.events) >= 2 for it in followers):  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(0.05)
        one.kill()
        await asyncio.gather(*following)
    for it in followers:
        it.check()
    assert sum(it.connections > 1 for it in followers) > STREAMS // 2, "they were cut off"


async def test_a_gateway_that_drains_sends_its_clients_to_another(managed: System) -> None:
    (one, first), (_, second) = gateway(managed), gateway(managed)
    async with client(first) as a, client(second) as b, asyncio.TaskGroup() as jobs:
        follower = Follower([a, b], await begun(a, 1))
        following = jobs.create_task(follower.follow())
        waiting = jobs.create_task(a.get("/api/tasks/t1", params={"wait": 60}))
        async with asyncio.timeout(60):
            while not follower.events:  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(0.05)
        one.end()
        assert (await waiting).json()["ended_at"] is None, "a client that waits is answered"
        await following
    resumed = [it for it in follower.events if it.name == "resume"]
    assert [it.data["after"] for it in resumed] == [resumed[0].id]
    assert follower.connections == 2
    follower.check()


async def test_a_broker_that_is_away_for_a_while_delays_streams_and_new_tasks(
    managed: System, rabbit: Rabbit
) -> None:
    _, address = gateway(managed)
    async with client(address) as http, asyncio.TaskGroup() as jobs:
        followers = [Follower([http], await begun(http, number)) for number in range(5)]
        following = [jobs.create_task(it.follow()) for it in followers]
        while not all(it.events for it in followers):  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.05)
        with rabbit.stopped():
            sending = jobs.create_task(begun(http, 99))
            await asyncio.sleep(AWAY_S)
        followers.append(Follower([http], await sending))
        await asyncio.gather(*following, followers[-1].follow())
    for it in followers:
        it.check()
        assert it.connections == 1, "no stream has ended"


@pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")
async def test_a_store_that_is_away_for_a_while_delays_streams_and_refuses_new_tasks(
    managed: System, postgresql: Postgres, postgresql_url: str
) -> None:
    _, address = gateway(managed)
    async with client(address) as http, asyncio.TaskGroup() as jobs:
        follower = Follower([http], await begun(http, 1))
        following = jobs.create_task(follower.follow())
        while not follower.events:  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.05)
        with postgresql.away(postgresql_url):
            new = {"agent": "alice", "content": TASK, "id": "t2"}
            refused = await http.post("/api/tasks", json=new)
            assert refused.status_code == 503
            assert "Retry-After" in refused.headers
        await following
    follower.check()
    assert follower.connections == 1


async def test_a_turn_that_another_process_repeats_begins_again_for_the_client(
    system: System, agents: Path
) -> None:
    served = system.start("tests.support.model.streaming").wait_for(r"serving (http://\S+)")
    system.env["OPENAI_BASE_URL"] = served[1]
    define(agents, system, bob="")
    [bob] = system.agents("bob")
    _, address = gateway(system)
    async with client(address) as http:
        new = {"agent": "bob", "content": "Write.", "stream": True, "id": "t1"}
        path = (await http.post("/api/tasks", json=new)).json()["links"]["events"]
        async with stream(http, path) as events:
            async for it in events:
                if (
                    bob.process.poll() is None
                    and it.name == "text"
                    and len(text_of(events.events)[1]) > 50
                ):
                    bob.kill()
                    system.start("services.agent", "bob")
    restarts = [it.data for it in events.events if it.name == "restart"]
    assert restarts == [{"turn": 1, "reason": "taken over"}]
    assert text_of(events.events)[1].strip() == events.events[-1].data["content"].strip()
    instances = {it.data["instance"] for it in events.events if it.name == "run"} - {None}
    assert len(instances) == 2
