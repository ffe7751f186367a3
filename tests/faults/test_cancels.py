"""Many cancels at once, before their tasks and with them: every slot that is taken is released."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from sqlalchemy import func, select

from shared.contract.topology import CONTROL, mailbox_name
from shared.store import open_store
from shared.store.runs.cancels import OVERDUE_S
from shared.store.schema import cancels, now_s
from tests.support.client import Client
from tests.support.processes.agents import http_get
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import Child, System, until

pytestmark = pytest.mark.long

TASKS = 60
"""With as many, every slot of one process was lost within a second."""
TIMES = 2
"""The number of further cancels for each task when it comes."""


def cancel(pika: Client, task_id: str) -> None:
    body = json.dumps({"type": "cancel", "task_id": task_id})
    pika.channel.basic_publish(CONTROL, "cancel.bob", body.encode())


def overdue(system: System) -> int:
    """Cancels that were asked for so long ago that any process ends their runs."""
    query = select(func.count()).where(cancels.c.asked_at <= now_s() - OVERDUE_S)

    async def read() -> int:
        async with open_store(system.env["HUTCH_STORE"]) as store:
            return await store.read(lambda db: db.execute(query).scalar_one())

    return asyncio.run(read())


def shown(child: Child, metric: str) -> float:
    port = int(child.wait_for(r'health is served".*"port": (\d+)')[1])
    found = re.search(rf"^hutch_{metric} (\S+)$", http_get(port, "metrics")[1], re.M)
    assert found, f"no metric hutch_{metric}"
    return float(found[1])


@pytest.mark.parametrize("replicas", [1, 2])
def test_tasks_that_were_cancelled_before_they_came_take_no_slot_for_good(
    system: System, pika: Client, asked: Asked, replicas: int
) -> None:
    bobs = system.agents(*["bob"] * replicas)
    tasks = [f"t{number}" for number in range(TASKS)]
    for task in tasks:
        cancel(pika, task)
    until(lambda: overdue(system) == TASKS)
    for task in tasks:
        pika.send("bob", {"content": "Write.", "id": task})
        for _ in range(TIMES):
            cancel(pika, task)
    replies = pika.replies(TASKS)
    assert {reply.status for reply in replies} == {"cancelled"}
    assert {reply.body["task_id"] for reply in replies} == set(tasks)
    for bob in bobs:
        until(lambda bob=bob: shown(bob, "slots_taken") == shown(bob, "runs_open") == 0)  # type: ignore[misc]  # bound now
        until(lambda bob=bob: shown(bob, "mailbox_consuming") == 1)  # type: ignore[misc]
    queue = mailbox_name("bob")
    assert pika.consumers(queue) == replicas
    assert pika.channel.queue_declare(queue, passive=True).method.message_count == 0
    assert pika.received() is None, "one response each"
    assert asked() == []
    assert pika.ask("bob", "Write.").status == "ok"
