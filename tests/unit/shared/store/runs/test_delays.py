"""Runs that were claimed and may not start yet, and the order of runs by their priority."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import select, update

from shared.contract.priority import BACKGROUND_WAIT_S
from shared.store import Store
from shared.store.queries.history import finished_work
from shared.store.queries.reports import find, loads
from shared.store.runs import cancels
from shared.store.runs.claim import ClaimResult, Request, claim
from shared.store.runs.end import RunEnd, refuse
from shared.store.runs.takeover import postpone
from shared.store.schema import runs
from tests.support.stores.steps import (
    DONE,
    a_moment_later,
    claimed,
    counted,
    ended,
    owned,
    request,
    seen,
    taken,
)

HOUR_S = 3600.0


def delayed(task_id: str = "t1", *, by_s: float = HOUR_S) -> Request:
    return replace(request(task_id), not_before=time.time() + by_s)


async def became_due(store: Store, *task_ids: str, ago_s: float = 1.0) -> None:
    """Their time has come. SQLite's clock counts milliseconds: for it, this moment can be later."""
    at = time.time() - ago_s
    due = update(runs).where(runs.c.task_id.in_(task_ids)).values(due_at=at)
    await store.write("", lambda db: db.execute(due))


@pytest.mark.essential
async def test_a_delayed_run_takes_no_slot_and_is_taken_at_its_start(store: Store) -> None:
    claim = await claimed(store, delayed())
    assert (claim.result, claim.run) == (ClaimResult.DELAYED, None)
    assert await taken(store) == []
    found = await counted(store, {"alice.1"})
    assert (found.delayed, found.due, found.takeable, found.oldest_due_s) == (1, 0, 0, 0.0)
    await became_due(store, "t1")
    assert (await counted(store)).due == 1
    (run,) = await taken(store)
    assert (run.fence, run.attempts) == (2, 0)


async def test_the_time_limit_counts_from_the_start_and_a_deadline_holds(store: Store) -> None:
    await claimed(store, asked := delayed("t1"))
    await claimed(store, replace(delayed("t2"), deadline_at=asked.not_before + 60))
    limits = select(runs.c.deadline_at - asked.not_before).order_by(runs.c.task_id)
    assert [*await store.read(lambda db: db.execute(limits).scalars().all())] == [
        pytest.approx(600, abs=0.01),
        pytest.approx(60, abs=0.01),
    ]


async def test_a_start_in_the_past_is_no_delay(store: Store) -> None:
    claim = await claimed(store, delayed(by_s=-HOUR_S))
    assert claim.result is ClaimResult.CLAIMED
    assert claim.run
    assert claim.run.deadline_at - claim.run.claimed_at == pytest.approx(600, abs=0.1)


async def test_a_delayed_task_that_is_sent_again_is_the_same_run(store: Store) -> None:
    await claimed(store, delayed())
    assert (await claimed(store, delayed(by_s=0.5 * HOUR_S))).result is ClaimResult.JOINED
    assert (await claimed(store, request())).result is ClaimResult.JOINED
    assert await taken(store) == []


async def test_an_agent_has_a_limited_number_of_delayed_runs(store: Store) -> None:
    async def result(asked: Request) -> ClaimResult:
        limited = partial(claim, request=asked, instance="alice.1", slot=True, most_delayed=1)
        return (await store.write(asked.key, limited)).result

    assert await result(delayed("t1")) is ClaimResult.DELAYED
    assert await result(delayed("t2")) is ClaimResult.TOO_MANY
    assert await store.read(lambda db: find(db, "t2")) == []
    assert await result(delayed("t1")) is ClaimResult.JOINED
    assert await result(request("t3")) is ClaimResult.CLAIMED
    await became_due(store, "t1")
    assert await result(delayed("t2")) is ClaimResult.DELAYED


async def test_a_delayed_run_is_cancelled_before_its_start(store: Store) -> None:
    await claimed(store, delayed())
    assert not (await seen(store)).commands.endable
    await store.write("", lambda db: cancels.request(db, "alice", "t1"))
    assert (await seen(store)).commands.endable
    (run,) = await store.write("", lambda db: cancels.take_endable(db, "alice", "alice.1"))
    assert run.cancelled


async def test_a_delayed_task_that_is_refused_is_answered_at_once(store: Store) -> None:
    ending = RunEnd("refused", "t1.response", DONE)
    claim = await store.write("", lambda db: refuse(db, delayed(), "alice.1", lambda _: ending))
    assert claim.result is ClaimResult.CLAIMED
    assert [message.body for message in claim.outbound] == [DONE]


async def test_an_agent_with_nothing_but_delayed_runs_is_at_rest(store: Store) -> None:
    await ended(store, await owned(store, "t1"))
    await claimed(store, delayed("t2"))
    assert await store.read(lambda db: finished_work(db, "alice"))
    await became_due(store, "t2")
    assert not await store.read(lambda db: finished_work(db, "alice"))


async def test_delayed_runs_are_counted_apart_from_due_and_postponed_ones(store: Store) -> None:
    await claimed(store, asked := delayed("t1"))
    await claimed(store, request("t2"), slot=False)
    run = await owned(store, "t3")
    await store.write(run.run_id, lambda db: postpone(db, run, failures=1, wait_s=60, detail="503"))
    load = (await store.read(loads))["alice"]
    assert (load.delayed, load.due) == (1, 2)
    (row,) = await store.read(lambda db: find(db, "t1"))
    assert row.due_at
    assert row.due_at.timestamp() == pytest.approx(asked.not_before, abs=0.01)
    (row,) = await store.read(lambda db: find(db, run.run_id))
    assert row.due_at
    await taken(store)
    (row,) = await store.read(lambda db: find(db, "t2"))
    assert row.due_at is None, "it is running"


async def background(store: Store, task_id: str) -> None:
    await claimed(store, replace(request(task_id), priority="background"), slot=False)
    await a_moment_later(store)


async def test_interactive_runs_go_before_background_runs_that_became_due_earlier(
    store: Store,
) -> None:
    await background(store, "b1")
    await background(store, "b2")
    await claimed(store, request("i1"), slot=False)
    found = await counted(store)
    assert (found.takeable, found.before_deliveries) == (3, 1)
    assert [run.task_id for run in await taken(store, limit=2)] == ["i1", "b1"]


async def test_a_background_run_that_has_waited_long_goes_first(store: Store) -> None:
    await claimed(store, request("i1"), slot=False)
    await background(store, "b1")
    await became_due(store, "b1", ago_s=BACKGROUND_WAIT_S + 60)
    assert (await counted(store)).before_deliveries == 2
    assert [run.task_id for run in await taken(store, limit=1)] == ["b1"]
