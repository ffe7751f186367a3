from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import func, select

from shared.store import Store, retention
from shared.store.messages import outbox
from shared.store.messages.ticks import Outcome
from shared.store.retention import forget_runs, forget_ticks
from shared.store.runs.claim import Verdict
from shared.store.runs.tool_starts import Start, write_start
from shared.store.schema import requesters, runs, starts, steps, ticks
from tests.support.stores.steps import claimed, ended, owned, request

AT_ONCE_S = 0.0
LATER_S = 3600.0


async def forgotten(store: Store, keep_s: float) -> bool:
    return await store.write("", partial(forget_runs, agent="alice", keep_s=keep_s))


async def rows(store: Store) -> list[int]:
    return await store.read(
        lambda db: [
            db.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (runs, steps, starts, requesters)
        ]
    )


async def test_an_ended_run_is_forgotten_when_its_time_is_over(store: Store) -> None:
    run = await owned(store)
    begun = Start(1, 1, "pay", "{}")
    await store.write("", lambda db: write_start(db, run, begun))
    for message in await ended(store, run):
        await store.write("", partial(outbox.sent, seqs=[message.seq]))
    assert not await forgotten(store, LATER_S)
    assert await forgotten(store, AT_ONCE_S)
    assert not await forgotten(store, AT_ONCE_S)
    assert await rows(store) == [0, 0, 0, 0]
    assert (await claimed(store, request())).verdict is Verdict.CLAIMED


async def test_an_open_run_is_never_forgotten(store: Store) -> None:
    await owned(store)
    assert not await forgotten(store, AT_ONCE_S)
    assert (await claimed(store, request())).verdict is Verdict.JOINED


async def test_what_is_still_to_be_sent_outlives_its_run(store: Store) -> None:
    messages = await ended(store, await owned(store))
    assert await forgotten(store, AT_ONCE_S)
    found = await store.write(
        "", lambda db: outbox.adopt(db, "alice", "alice.2", {"alice.1"}, set())
    )
    assert found == messages


async def test_runs_are_forgotten_in_batches(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    for number in range(3):
        await ended(store, await owned(store, f"t{number}"))
    assert [await forgotten(store, AT_ONCE_S) for _ in range(3)] == [True, True, False]


async def test_a_schedules_first_and_newest_tick_are_kept(store: Store) -> None:
    def tick(number: int, outcome: Outcome) -> dict[str, object]:
        return {
            "tick_id": f"alice.plan@{number}",
            "agent": "alice",
            "schedule": "plan",
            "nominal_at": number,
            "decided_at": number,
            "outcome": outcome,
        }

    outcomes = [Outcome.SEEN, Outcome.SENT, Outcome.SENDING, Outcome.SKIPPED, Outcome.SENT]
    every = [tick(number, outcome) for number, outcome in enumerate(outcomes)]
    await store.write("", lambda db: db.execute(ticks.insert(), every).close())
    await store.write("", partial(forget_ticks, agent="alice", keep_s=AT_ONCE_S))
    left = await store.read(
        lambda db: db.execute(select(ticks.c.outcome).order_by(ticks.c.nominal_at)).scalars().all()
    )
    assert left == [Outcome.SEEN, Outcome.SENDING, Outcome.SENT]
