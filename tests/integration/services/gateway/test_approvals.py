"""Calls that wait for approval, decided through a gateway, with real agents behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from tests.integration.services.gateway.openai.conftest import client_of
from tests.support.gateway import client, followed, gateway, stream
from tests.support.processes.running import System
from tests.support.processes.shop import BELOW, PAY, Shop, define
from tests.support.webhook_receiver import Receiver, receiving

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
def shop(system: System, agents: Path) -> Shop:
    found = define(system, agents)
    system.agents("carol", "alice")
    return found


@pytest_asyncio.fixture
async def http(shop: Shop) -> AsyncIterator[httpx2.AsyncClient]:
    async with client(gateway(shop.system)[1]) as connected:
        yield connected


async def sent(http: httpx2.AsyncClient, agent: str, content: str, **more: str) -> dict[str, Any]:
    response = await http.post("/api/tasks", json={"agent": agent, "content": content, **more})
    assert response.status_code == 202, response.text
    found: dict[str, Any] = response.json()
    return found


async def requested(http: httpx2.AsyncClient, number: int = 1) -> list[dict[str, Any]]:
    """The calls that wait, once there are so many."""
    async with asyncio.timeout(60):
        while True:
            found: list[dict[str, Any]] = (await http.get("/api/approvals")).json()["approvals"]
            if len(found) == number:
                return found
            await asyncio.sleep(0.05)


async def decide(
    http: httpx2.AsyncClient, id: str, decision: str = "approve", note: str = ""
) -> None:
    response = await http.post(f"/api/approvals/{id}", json={"decision": decision, "note": note})
    assert response.status_code == 200, response.text


@pytest.mark.essential
async def test_a_call_is_made_once_after_its_approval_and_not_before(
    http: httpx2.AsyncClient, shop: Shop
) -> None:
    task = await sent(http, "carol", PAY)
    (asked,) = await requested(http)
    assert (asked["name"], asked["arguments"]) == ("pay", {"order": 17})
    now = (await http.get(task["links"]["self"])).json()
    assert (now["status"], [it["id"] for it in now["approvals"]]) == ("parked", [asked["id"]])
    assert shop.paid == []
    for _ in range(2):
        await decide(http, asked["id"])
    done = (await http.get(task["links"]["self"], params={"wait": 60})).json()
    assert done["status"] == "ok"
    assert "order 17 is paid" in done["content"]
    assert done["approvals"] == []
    assert shop.paid == ["17"]
    shown = (await http.get(task["links"]["run"])).json()
    assert [(it["state"], it["name"]) for it in shown["approvals"]] == [("approved", "pay")]


async def test_a_denied_call_is_not_made_and_the_model_reads_the_note(
    http: httpx2.AsyncClient, shop: Shop
) -> None:
    task = await sent(http, "carol", PAY)
    (asked,) = await requested(http)
    await decide(http, asked["id"], "deny", "Ask for the invoice first.")
    done = (await http.get(task["links"]["self"], params={"wait": 60})).json()
    assert "Ask for the invoice first." in done["content"]
    assert shop.paid == []


async def test_a_stream_shows_the_request_and_the_decision_below_a_worker(
    http: httpx2.AsyncClient, shop: Shop
) -> None:
    task = await sent(http, "alice", BELOW)
    path, asked = task["links"]["events"], None
    async with stream(http, path) as events:
        async for it in events:
            if it.name == "run" and it.data["agent"] == "carol" and it.data["approvals"]:
                (asked,) = it.data["approvals"]
                break
    assert asked is not None
    assert (it.data["status"], asked["name"], asked["state"]) == ("parked", "pay", "pending")
    async with client(gateway(shop.system)[1]) as other:
        await decide(other, asked["id"])
        rest = await followed(other, path, after=it.id)
    states = [
        one["state"] for event in rest if event.name == "run" for one in event.data["approvals"]
    ]
    assert set(states) == {"approved"}
    assert rest[-1].name == "response"
    assert rest[-1].data["status"] == "ok"


async def test_openai_s_clients_wait_and_come_back(http: httpx2.AsyncClient, shop: Shop) -> None:
    async with client_of(str(http.base_url.join("/v1"))) as door:
        background = await door.responses.create(model="carol", input=PAY, background=True)
        (first,) = await requested(http)
        again = await door.responses.retrieve(background.id)
        assert again.status == "in_progress"
        waiting = asyncio.create_task(
            door.chat.completions.create(model="carol", messages=[{"role": "user", "content": PAY}])
        )
        both = await requested(http, 2)
        for it in both:
            await decide(http, it["id"])
        completion = await waiting
        assert "order 17 is paid" in (completion.choices[0].message.content or "")
        events = [it async for it in await door.responses.retrieve(background.id, stream=True)]
        assert events[-1].type == "response.completed"
        assert first in both


@pytest.mark.parametrize("progress", [{}, {"X-Hutch-Progress": "reasoning"}])
async def test_a_streamed_completion_says_what_it_waits_for(
    progress: dict[str, str], http: httpx2.AsyncClient, shop: Shop
) -> None:
    body = {
        "model": "alice",
        "stream": True,
        "messages": [{"role": "user", "content": BELOW}],
    }
    lines: list[str] = []
    async with http.stream("POST", "/v1/chat/completions", json=body, headers=progress) as response:
        async for line in response.aiter_lines():
            lines.append(line)
            if "waits for approval" in line:
                (asked,) = await requested(http)
                assert f"carol waits for approval to call pay: hutch approve {asked['id']}" in line
                assert line.startswith(":") is not bool(progress)
                await decide(http, asked["id"])
    assert sum("waits for approval" in it for it in lines) == 1
    assert lines[-2:] == ["data: [DONE]", ""]


async def test_a_webhook_tells_of_a_request_below_the_task(shop: Shop, receiver: Receiver) -> None:
    _, address = gateway(shop.system, HUTCH_WEBHOOK_SECRET=SECRET, HUTCH_WEBHOOK_HOSTS="localhost")
    async with client(address) as http:
        await sent(http, "alice", BELOW, id="t1", callback_url=receiver.address)
        await receiver.until_got(1)
        first = json.loads(receiver.got[0][1])
        assert first["type"] == "approval.requested"
        assert (first["data"]["task_id"], first["data"]["agent"]) == ("t1", "alice")
        approval = first["data"]["approval"]
        assert (approval["path"], approval["arguments"]) == (["alice", "carol"], {"order": 17})
        await decide(http, approval["id"])
        await receiver.until_got(2)
    assert json.loads(receiver.got[1][1])["type"] == "task.ended"
    assert len(receiver.ids) == 2


async def test_a_command_through_the_gateway_is_decided_by_its_key(
    shop: Shop, http: httpx2.AsyncClient
) -> None:
    task = await sent(http, "carol", PAY)
    (asked,) = await requested(http)
    key = shop.system.hutch("keys", "add", "boss", "--scope", "operate").stdout.strip()
    remote = {"HUTCH_GATEWAY": str(http.base_url), "HUTCH_GATEWAY_KEY": key}
    shop.system.env |= remote
    assert asked["id"] in shop.system.hutch("approvals").stdout
    done = shop.system.hutch("approve", asked["id"], "--note", "He has called.")
    assert done.returncode == 0, done.stderr
    headers = {"Authorization": f"Bearer {key}"}
    shown = (await http.get(f"/api/approvals/{asked['id']}", headers=headers)).json()
    assert (shown["state"], shown["decided_by"]) == ("approved", "boss")
    ended = await http.get(task["links"]["self"], params={"wait": 60}, headers=headers)
    assert ended.json()["status"] == "ok"
