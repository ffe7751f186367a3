from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import func, select

from shared.contract.messages import run_id
from shared.errors import StoreError
from shared.store import Store, open_store
from shared.store.messages import outbox
from shared.store.messages.ticks import TickOutcome
from shared.store.retention import BATCH, forget_runs, forget_session, forget_ticks
from shared.store.runs.claim import Claim, ClaimResult
from shared.store.runs.run import Run
from shared.store.runs.steps import Step, write_step
from shared.store.runs.tool_starts import Start, write_start
from shared.store.schema import requesters, runs, starts, steps, ticks
from tests.support.stores.sessions import asking, over, present
from tests.support.stores.steps import claimed, ended, owned, request

AT_ONCE_S = 0.0
LATER_S = 3600.0


async def forgotten(store: Store, keep_s: float, batch: int = BATCH) -> bool:
    return await store.write("", partial(forget_runs, agent="alice", keep_s=keep_s, batch=batch))


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
        await store.write("", partial(outbox.remove_sent, seqs=[message.seq]))
    assert not await forgotten(store, LATER_S)
    assert await forgotten(store, AT_ONCE_S)
    assert not await forgotten(store, AT_ONCE_S)
    assert await rows(store) == [0, 0, 0, 0]
    assert (await claimed(store, request())).result is ClaimResult.CLAIMED


async def test_an_open_run_is_never_forgotten(store: Store) -> None:
    await owned(store)
    assert not await forgotten(store, AT_ONCE_S)
    assert (await claimed(store, request())).result is ClaimResult.JOINED


async def test_unsent_messages_outlive_their_run(store: Store) -> None:
    messages = await ended(store, await owned(store))
    assert await forgotten(store, AT_ONCE_S)
    found = await store.write(
        "", lambda db: outbox.adopt(db, "alice", "alice.2", {"alice.1"}, set())
    )
    assert found == messages


async def test_runs_are_forgotten_in_batches(store: Store) -> None:
    for number in range(3):
        await ended(store, await owned(store, f"t{number}"))
    assert [await forgotten(store, AT_ONCE_S, batch=2) for _ in range(3)] == [True, True, False]


async def test_a_schedules_first_and_newest_tick_are_kept(store: Store) -> None:
    def tick(number: int, outcome: TickOutcome) -> dict[str, object]:
        return {
            "tick_id": f"alice.plan@{number}",
            "agent": "alice",
            "schedule": "plan",
            "nominal_at": number,
            "decided_at": number,
            "outcome": outcome,
        }

    outcomes = [
        TickOutcome.SEEN,
        TickOutcome.SENT,
        TickOutcome.SENDING,
        TickOutcome.SKIPPED,
        TickOutcome.SENT,
    ]
    every = [tick(number, outcome) for number, outcome in enumerate(outcomes)]
    await store.write("", lambda db: db.execute(ticks.insert(), every).close())
    await store.write("", partial(forget_ticks, agent="alice", keep_s=AT_ONCE_S))
    left = await store.read(
        lambda db: db.execute(select(ticks.c.outcome).order_by(ticks.c.nominal_at)).scalars().all()
    )
    assert left == [TickOutcome.SEEN, TickOutcome.SENDING, TickOutcome.SENT]


async def erased(
    store: Store, session: str = "s1", agent: str | None = None, batch: int = BATCH
) -> int:
    return await store.write("", partial(forget_session, session=session, agent=agent, batch=batch))


async def stepped(
    store: Store, task_id: str, session: str = "s1", *, agent: str = "alice", cause: str = ""
) -> Run:
    """A run with a step; `cause` is the task whose run has asked for it."""
    await present(store, f"{agent}.1")
    asked = asking(task_id, session, agent=agent)
    if cause:
        root = cause.partition(".")[0]
        asked = replace(asked, takes_turns=False, parent_id=cause, root_id=root)
    run = (await claimed(store, asked, f"{agent}.1")).run
    assert run is not None
    step = Step(1, 0, "model", "turn", '{"content": "secret"}')
    await store.write(run.run_id, lambda db: write_step(db, run, step))
    return run


async def answered(store: Store, run: Run) -> None:
    for message in await over(store, run):
        await store.write("", partial(outbox.remove_sent, seqs=[message.seq]))


async def test_a_session_is_forgotten_with_all_that_it_caused(store: Store) -> None:
    for number in range(2):
        mine = await stepped(store, f"t{number}")
        await answered(store, await stepped(store, f"t{number}.c", agent="bob", cause=f"t{number}"))
        await answered(store, mine)
    await answered(store, await stepped(store, "other", "s2"))
    assert await erased(store) == 4
    assert await rows(store) == [1, 1, 0, 1]
    assert await erased(store) == 0


async def test_a_forgotten_task_runs_again_and_remembers_nothing(store: Store) -> None:
    await answered(store, await stepped(store, "t1"))
    await erased(store)
    again = await claimed(store, asking("t1"))
    assert again.result is ClaimResult.CLAIMED
    assert again.run is not None
    assert again.run.recalled == ()


async def test_open_runs_are_refused_and_nothing_is_deleted(store: Store) -> None:
    first = await stepped(store, "t1")
    await answered(store, first)
    second = await stepped(store, "t2")
    with pytest.raises(StoreError, match=r"'s1' has 1 open runs \(t2 of alice\)"):
        await erased(store)
    assert (await rows(store))[0] == 2
    await answered(store, second)
    assert await erased(store) == 2


async def test_forgetting_an_agents_run_deletes_the_runs_that_it_caused_and_no_others(
    store: Store,
) -> None:
    mine = await stepped(store, "t1")
    await answered(store, await stepped(store, "t1.1", agent="bob", cause="t1"))
    await answered(store, mine)
    await answered(store, await stepped(store, "t2", agent="bob"))
    assert await erased(store, agent="alice") == 2
    kept = await store.read(lambda db: db.execute(select(runs.c.run_id)).scalars().all())
    assert kept == [run_id("bob", "t2")]


async def test_a_retention_that_is_cut_off_between_two_batches_is_resumed(store: Store) -> None:
    mine = await stepped(store, "t1")
    for number in range(4):
        await answered(store, await stepped(store, f"t1.{number}", agent="bob", cause="t1"))
    await answered(store, mine)
    assert [await erased(store, agent="alice", batch=2) for _ in range(4)] == [2, 2, 1, 0]


async def test_unsent_messages_are_sent(store: Store) -> None:
    messages = await over(store, await stepped(store, "t1"))
    assert await erased(store) == 1
    found = await store.write(
        "", lambda db: outbox.adopt(db, "alice", "alice.2", {"alice.1"}, set())
    )
    assert found == messages


async def test_a_run_that_begins_meanwhile_is_seen_or_remembers_nothing(
    store: Store, store_url: str
) -> None:
    async with open_store(store_url) as second:
        for number in range(15):
            session = f"race-{number}"
            await answered(store, await stepped(store, f"{number}.a", session))
            claim, deleted = await asyncio.gather(
                claimed(second, asking(f"{number}.b", session)),
                erased(store, session),
                return_exceptions=True,
            )
            assert isinstance(claim, Claim)
            assert claim.run is not None
            refused = isinstance(deleted, StoreError)
            assert bool(claim.run.recalled) is refused


async def test_runs_outside_the_session_do_not_hold_it_up(store: Store) -> None:
    run = (await claimed(store, request("t1"))).run
    assert run is not None
    await ended(store, run)
    assert await erased(store) == 0
