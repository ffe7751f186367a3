from __future__ import annotations

import asyncio

import pytest

from services.scheduler import heartbeat
from services.scheduler.heartbeat import Heartbeat
from shared.concurrency.first import first_of
from shared.contract.topology import SCHEDULER
from shared.store import Store
from shared.store.processes import heartbeats
from shared.store.queries import reports


async def instances(store: Store) -> set[str]:
    return {it.instance for it in await store.read(reports.heartbeats)}


async def test_a_scheduler_is_listed_while_it_runs_and_removes_one_that_was_killed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "HEARTBEAT_S", 0.01)
    monkeypatch.setattr(heartbeat, "GONE_S", 0.1)
    await store.write("", lambda db: heartbeats.record(db, "scheduler.killed", SCHEDULER))
    running = Heartbeat(store, "scheduler.here")

    async def removed() -> None:
        while True:
            await asyncio.sleep(0.01)
            if "scheduler.killed" not in await instances(store):
                return

    await first_of(running.serve(), removed(), timeout_s=30)
    assert await instances(store) == {"scheduler.here", "alice.1"}, "an agent's row stays"
    await running.end()
    assert await instances(store) == {"alice.1"}
