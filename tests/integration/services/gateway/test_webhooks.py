"""Responses that gateways send to the addresses that clients have given."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from standardwebhooks import WebhookVerificationError

from tests.support.gateway import client, gateway
from tests.support.processes.agents import define
from tests.support.processes.running import Child, System, until
from tests.support.repository import REPOSITORY
from tests.support.webhook_receiver import Receiver, receiving

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
TASKS = 10


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
def agent(system: System, agents: Path) -> System:
    define(agents, system, bob=f"limits: {{concurrency: {TASKS}}}")
    system.agents("bob")
    return system


def sending(system: System) -> tuple[Child, str]:
    return gateway(system, HUTCH_WEBHOOK_SECRET=SECRET, HUTCH_WEBHOOK_HOSTS="localhost")


def store(system: System, statement: str) -> list[tuple[object, ...]]:
    file = system.env["HUTCH_STORE"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()


def pending(system: System) -> int:
    query = "SELECT 1 FROM webhooks WHERE delivered_at IS NULL"
    return len(store(system, query))


async def posted(http: httpx2.AsyncClient, receiver: Receiver, number: int) -> httpx2.Response:
    words = f"[[reply Answer {number}.]]"
    new = {"agent": "bob", "content": words, "id": f"t{number}", "callback_url": receiver.address}
    return await http.post("/api/tasks", json=new)


@pytest.mark.essential
async def test_the_receiver_in_the_page_accepts_the_response_of_a_task(
    agent: System, receiver: Receiver
) -> None:
    _, address = sending(agent)
    async with client(address) as http:
        for _ in range(2):  # a repetition changes nothing
            response = await posted(http, receiver, 1)
            assert response.status_code in {200, 202}, response.text
        await receiver.until_got(1)
        other = {"agent": "bob", "content": "Other.", "id": "t1", "callback_url": receiver.address}
        refused = await http.post("/api/tasks", json=other | {"callback_url": "https://a.example"})
        assert refused.status_code == 409
    ((headers, body),) = receiver.got
    page = (REPOSITORY / "docs" / "gateway.md").read_text("utf-8")
    [example] = re.findall(r"```python\n(from standardwebhooks .*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)
    data = names["received"](body, headers)
    assert (data["task_id"], data["status"]) == ("t1", "ok")
    assert data["content"].startswith("Answer 1.")
    with pytest.raises(WebhookVerificationError):
        names["received"](body + b" ", headers)
    await asyncio.to_thread(until, lambda: pending(agent) == 0)
    assert list(receiver.ids.values()) == [1]


@pytest.mark.long
async def test_a_gateway_that_is_killed_while_it_sends_costs_no_webhook(
    agent: System, receiver: Receiver
) -> None:
    receiver.hanging = asyncio.Event()
    one, first = sending(agent)
    async with client(first) as http:
        await asyncio.gather(*(posted(http, receiver, number) for number in range(TASKS)))
        await receiver.until_got(1)
        interrupted = set(receiver.ids)
        sending(agent)
        one.kill()
    receiver.hanging.set()
    store(agent, "UPDATE webhooks SET due_at = 0 WHERE delivered_at IS NULL")  # its lease has ended
    await asyncio.to_thread(until, partial(_all_delivered, agent))
    answers = {json.loads(body)["data"]["task_id"] for _, body in receiver.got}
    assert answers == {f"t{number}" for number in range(TASKS)}
    assert len(receiver.ids) == TASKS, "each task has one id"
    assert {it for it, times in receiver.ids.items() if times > 1} >= interrupted


def _all_delivered(system: System) -> bool:
    return not pending(system)
