"""Tasks through a gateway's HTTP, with real agents behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from tests.support.client import Client
from tests.support.gateway import ServerEvent, client, followed, gateway, stream, text_of
from tests.support.processes.agents import calling, define
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System

pytestmark = [
    pytest.mark.essential,
    pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session"),
]

WORDS = "Bob has answered, and so the whole task is done."
TASK = f"{calling('bob', '[[reply Psst.]]')}[[then]][[reply {WORDS}]]"
SLOW = "[[latency 3]][[reply At last.]]"


@pytest.fixture
def managed(system: System, agents: Path) -> System:
    define(agents, system, alice="workers: [bob]", bob="preamble: You are Bob.\nswarm: office")
    system.agents("bob", "alice")
    return system


@pytest_asyncio.fixture
async def http(managed: System) -> AsyncIterator[httpx2.AsyncClient]:
    async with client(gateway(managed)[1]) as connected:
        yield connected


async def test_a_client_that_waits_gets_the_answer(http: httpx2.AsyncClient) -> None:
    response = await http.post(
        "/api/tasks", json={"agent": "bob", "content": "[[reply Hello.]]", "wait": 30}
    )
    assert response.status_code == 200, response.text
    task = response.json()
    assert (task["status"], task["agent"]) == ("ok", "bob")
    assert task["content"].startswith("Hello.")
    assert task["created_at"] <= task["ended_at"]
    again = await http.get(response.headers["Location"])
    assert again.json() == task


async def test_the_events_of_a_task_are_its_tree_its_text_and_its_response(
    http: httpx2.AsyncClient,
) -> None:
    new = {"agent": "alice", "content": TASK, "stream": True}
    sent = await http.post("/api/tasks", json=new)
    assert sent.status_code == 202
    events = await followed(http, sent.json()["links"]["events"])
    names = [it.name for it in events]
    assert names.count("response") == 1
    assert names[-1] == "response"
    assert text_of(events)[2] == events[-1].data["content"]
    ended = [it.data["agent"] for it in events if it.data.get("status") == "ok"]
    assert ended == ["bob", "alice", "alice"]
    steps = [it.data for it in events if it.name == "step"]
    assert [(it["agent"], it["turn"], it["position"]) for it in steps] == [
        ("alice", 1, 0),
        ("bob", 1, 0),
        ("alice", 1, 1),
        ("alice", 2, 0),
    ]


async def test_a_client_can_go_on_after_each_event_at_another_gateway(
    http: httpx2.AsyncClient, managed: System
) -> None:
    sent = await http.post("/api/tasks", json={"agent": "alice", "content": TASK, "wait": 30})
    path = sent.json()["links"]["events"]
    whole = [(it.name, it.data) for it in await followed(http, path)]
    async with client(gateway(managed)[1]) as other:
        received: list[ServerEvent] = []
        for number in range(len(whole)):
            asked = (http, other)[number % 2]
            after = received[-1].id if received else None
            received += await followed(asked, path, after, most=1)
        assert [(it.name, it.data) for it in received] == whole
        finished = await other.get(path, headers={"Last-Event-ID": received[-1].id or ""})
        assert finished.status_code == 204, "a browser does not connect again then"


async def test_a_stream_that_the_request_itself_asks_for_begins_before_the_task_is_sent(
    http: httpx2.AsyncClient,
) -> None:
    new = {"agent": "bob", "content": f"[[reply {WORDS}]]", "stream": True}
    accept = {"Accept": "text/event-stream"}
    async with http.stream("POST", "/api/tasks", json=new, headers=accept) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in response.aiter_lines()]
    assert not any('"gap":true' in line for line in lines)
    assert "event: restart" not in lines
    assert "event: text" in lines
    assert lines.count("event: response") == 1
    assert (await http.get(response.headers["Location"])).json()["status"] == "ok"


async def test_what_is_sent_twice_runs_once_also_through_two_gateways(
    http: httpx2.AsyncClient, managed: System, asked: Asked
) -> None:
    new = {"agent": "bob", "content": SLOW, "wait": 30}
    key = {"Idempotency-Key": "order 66"}
    async with client(gateway(managed)[1]) as other:
        responses = await asyncio.gather(
            *(it.post("/api/tasks", json=new, headers=key) for it in (http, other, http))
        )
        assert [it.status_code for it in responses] == [200] * 3
        assert len({it.json()["id"] for it in responses}) == 1
        assert len(asked()) == 1
        again = await other.post("/api/tasks", json={**new, "wait": 0}, headers=key)
        assert again.status_code == 200
        changed = {**new, "content": "Something else."}
        refused = await other.post("/api/tasks", json=changed, headers=key)
        assert refused.status_code == 409
        elsewhere = await other.post("/api/tasks", json={**new, "agent": "alice"}, headers=key)
        assert elsewhere.status_code == 409
    assert len(asked()) == 1


async def test_two_contents_under_one_id_at_the_same_moment_make_one_run(
    http: httpx2.AsyncClient, asked: Asked
) -> None:
    contents = [f"[[latency 1]][[reply {number}.]]" for number in range(5)]
    responses = await asyncio.gather(
        *(
            http.post("/api/tasks", json={"agent": "bob", "content": it, "id": "t1", "wait": 30})
            for it in contents
        )
    )
    assert sorted(it.status_code for it in responses) == [200, 409, 409, 409, 409]
    assert len(asked()) == 1


async def test_any_gateway_waits_for_a_task_that_another_client_has_sent(
    http: httpx2.AsyncClient, pika: Client
) -> None:
    pika.send("bob", {"content": SLOW, "id": "t1"})
    async with asyncio.timeout(30):
        while (await http.get("/api/tasks/t1")).status_code == 404:  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.05)
    waited = await http.get("/api/tasks/t1", params={"wait": 30})
    assert waited.json()["content"].startswith("At last.")
    assert waited.json()["status"] == "ok"


async def test_a_cancelled_task_ends_at_once(http: httpx2.AsyncClient) -> None:
    sent = await http.post("/api/tasks", json={"agent": "bob", "content": "[[latency 60]]"})
    path = sent.headers["Location"]
    async with stream(http, sent.json()["links"]["events"]) as events:
        async for it in events:
            if it.name == "run" and it.data["status"] == "running":
                cancelled = await http.delete(path)
                assert cancelled.status_code == 202
    assert events.events[-1].data["status"] == "cancelled"
    assert (await http.delete(path)).json()["status"] == "cancelled"


async def test_a_task_that_has_not_come_yet_is_cancelled_when_it_comes(
    http: httpx2.AsyncClient,
) -> None:
    assert (await http.delete("/api/tasks/early")).status_code == 404
    early = await http.delete("/api/tasks/early?agent=bob")
    assert early.status_code == 202
    new = {"agent": "bob", "content": "Do it.", "id": "early", "wait": 30}
    assert (await http.post("/api/tasks", json=new)).json()["status"] == "cancelled"


@pytest.mark.parametrize(
    ("headers", "status"), [({}, "ok"), ({"X-Hutch-On-Disconnect": "cancel"}, "cancelled")]
)
async def test_a_client_that_leaves_detaches_unless_it_asks_for_a_cancel(
    http: httpx2.AsyncClient, headers: dict[str, str], status: str
) -> None:
    new = {"agent": "bob", "content": SLOW, "wait": 60}
    posts = [{**new, "id": "waiting"}, {**new, "id": "streaming"}]
    sent = {**new, "id": "sent", "wait": 0}
    await http.post("/api/tasks", json=sent)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.5):
            await asyncio.gather(
                http.post("/api/tasks", json=posts[0], headers=headers),
                http.post(
                    "/api/tasks", json=posts[1], headers={**headers, "Accept": "text/event-stream"}
                ),
                http.get("/api/tasks/sent", params={"wait": 60}, headers=headers),
            )
    for it in (*posts, sent):
        left = await http.get(f"/api/tasks/{it['id']}", params={"wait": 30})
        assert left.json()["status"] == status


async def test_a_task_for_nobody_is_refused_with_a_hint(http: httpx2.AsyncClient) -> None:
    response = await http.post("/api/tasks", json={"agent": "alcie", "content": "Hello."})
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert "alice" in response.json()["detail"]
    assert (await http.get("/api/tasks/unknown")).status_code == 404
    wrong = await http.get("/api/tasks/unknown/events", headers={"Last-Event-ID": "nonsense"})
    assert wrong.status_code == 400


async def test_a_worker_whose_response_cannot_be_read_ends_its_task_and_no_gateway(
    system: System, agents: Path, pika: Client
) -> None:
    define(agents, system, carol="preamble: Not one of our processes serves her mailbox.")
    async with client(gateway(system)[1]) as http:
        new = {"agent": "carol", "content": "Hello."}
        await http.post("/api/tasks", json=new)  # her mailbox is declared with it
        await asyncio.to_thread(pika.taken, "agent.carol")
        waiting = asyncio.create_task(http.post("/api/tasks", json=new | {"wait": 30}))
        unreadable = b'{"type": "response", "status": 5'
        await asyncio.to_thread(pika.take_and_answer, "agent.carol", unreadable)
        task = (await waiting).json()
        assert task["status"] == "failed"
        assert "carol can't be understood" in task["content"]
        assert (await http.get("/api/me")).status_code == 200


async def test_triggers_and_broadcasts_wake_agents(http: httpx2.AsyncClient) -> None:
    sent = await http.post("/api/triggers", json={"agent": "bob", "content": "[[reply Up.]]"})
    assert sent.status_code == 202
    waited = await http.get(sent.headers["Location"], params={"wait": 30})
    assert (waited.json()["status"], waited.json()["id"]) == ("ok", sent.json()["id"])
    key = {"Idempotency-Key": "morning"}
    ids = {
        (await http.post("/api/swarms/office/messages", json={"content": "Up!"}, headers=key)).text
        for _ in range(2)
    }
    assert len(ids) == 1
    assert (await http.post("/api/swarms/none/messages", json={"content": "Up!"})).is_client_error


async def test_events_of_agents_are_sent_as_they_happen(http: httpx2.AsyncClient) -> None:
    async with stream(http, "/api/events?agent=bob") as events:
        following = aiter(events)
        sent = await http.post("/api/tasks", json={"agent": "bob", "content": "Hello."})
        names = []
        async with asyncio.timeout(30):
            while "run.ended" not in names:
                names.append((await anext(following)).data["name"])
    assert sent.status_code == 202
    assert "run.started" in names
