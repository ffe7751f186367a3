from __future__ import annotations

import asyncio

import pytest

from shared.concurrency.first import first_of
from shared.contract.topology import GATEWAY, SCHEDULER
from shared.process import heartbeat
from shared.process.heartbeat import Heartbeat
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
    await store.write("", lambda db: heartbeats.record(db, "gateway.there", GATEWAY))
    running = Heartbeat(store, SCHEDULER, "scheduler.here")

    async def removed() -> None:
        while True:
            await asyncio.sleep(0.01)
            if "scheduler.killed" not in await instances(store):
                return

    await first_of(running.serve(), removed(), timeout_s=30)
    others = {"gateway.there", "alice.1"}
    assert await instances(store) == {"scheduler.here", *others}, "those of other roles stay"
    await running.end()
    assert await instances(store) == others
