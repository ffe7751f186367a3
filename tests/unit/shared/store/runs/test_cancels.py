from __future__ import annotations

import asyncio
from collections.abc import Collection
from functools import partial

import pytest
from sqlalchemy import func, select, update

from shared.contract.messages import Cancel, run_id
from shared.errors import RunLost
from shared.store import Store, open_store
from shared.store.messages.outbox import Outbound
from shared.store.processes import heartbeats
from shared.store.queries.poll import Commands
from shared.store.runs import cancels
from shared.store.runs.cancels import OVERDUE_S, STUCK_S
from shared.store.runs.claim import ClaimResult
from shared.store.runs.end import RunEnd, end
from shared.store.runs.run import Run
from shared.store.runs.steps import Step, steps_of, write_step
from shared.store.runs.takeover import hand_over
from shared.store.schema import cancels as rows
from shared.store.schema import now_s, runs
from tests.support.stores.steps import DONE, claimed, ended, owned, request, seen, taken

ACTED = Step(1, 1, "tool", "lookup", '{"content": "done"}')
STOPPED = Step(1, 1, "tool", "lookup", '{"content": "cancelled"}')


async def asked(store: Store, task_id: str = "t1") -> bool:
    ask = partial(cancels.request, agent="alice", task_id=task_id)
    return await store.write(run_id("alice", task_id), ask)


async def unwanted(store: Store) -> Commands:
    return (await seen(store)).commands


async def endable(store: Store, instance: str = "alice.2", held: Collection[str] = ()) -> list[Run]:
    return await store.write("", lambda db: cancels.take_endable(db, "alice", instance, held))


async def kept(store: Store) -> int:
    return await store.read(lambda db: db.execute(select(func.count(rows.c.run_id))).scalar_one())


async def a_while_ago(store: Store, seconds: float = OVERDUE_S) -> None:
    """Move the time of every cancel back by so much."""
    earlier = update(rows).values(asked_at=rows.c.asked_at - seconds)
    await store.write("", lambda db: db.execute(earlier).close())


async def late_by(store: Store, seconds: float) -> None:
    late = update(runs).values(deadline_at=now_s() - seconds)
    await store.write("", lambda db: db.execute(late).close())


async def had_for(store: Store, seconds: float = OVERDUE_S) -> None:
    """Set the time since which every run has had its owner back by so much."""
    earlier = update(runs).values(due_at=now_s() - seconds)
    await store.write("", lambda db: db.execute(earlier).close())


async def cancelled(
    store: Store, run: Run, *, answers: tuple[Step, ...] = (), instance: str = "alice.1"
) -> tuple[Outbound, ...]:
    ending = RunEnd(
        "cancelled",
        f"{run.run_id}.response",
        '"cancelled"',
        cancelled=True,
        steps=answers,
        orphans=(("bob", f"{run.run_id}.1.1.2"),),
    )
    return await store.write(run.run_id, partial(end, run=run, ending=ending, instance=instance))


async def test_an_open_run_that_is_cancelled_is_found_until_it_has_ended(store: Store) -> None:
    run = await owned(store)
    assert await unwanted(store) == Commands()
    assert await asked(store)
    assert await unwanted(store) == Commands((run.run_id,))
    await cancelled(store, run)
    assert await unwanted(store) == Commands()


async def test_a_cancel_of_a_run_that_has_ended_changes_nothing(store: Store) -> None:
    await ended(store, await owned(store))
    assert not await asked(store)
    assert await kept(store) == 0
    claim = await claimed(store, request())
    assert (claim.result, claim.outbound[0].body) == (ClaimResult.ANSWERED, DONE)


@pytest.mark.parametrize("slot", [True, False])
async def test_a_task_that_was_cancelled_before_it_came_is_claimed_as_cancelled(
    store: Store, slot: bool
) -> None:
    assert await asked(store)
    assert await unwanted(store) == Commands()
    run = (await claimed(store, request(), slot=slot)).run
    if not slot:
        (run,) = await endable(store)
    assert run is not None
    assert run.cancelled
    other = await owned(store, "t2")
    assert not other.cancelled


async def test_a_postponed_run_is_taken_at_once_when_it_must_be_ended(store: Store) -> None:
    run = await owned(store)
    await store.write(run.run_id, lambda db: hand_over(db, run, delay_s=600))
    assert await endable(store) == []
    await asked(store)
    assert (await unwanted(store)).endable
    (again,) = await endable(store)
    assert (again.cancelled, again.fence, again.attempts) == (True, 2, 0)
    assert await endable(store, "alice.3") == []


async def test_a_living_owner_has_time_to_end_a_cancelled_run_before_a_replica_does(
    store: Store,
) -> None:
    zombie = await owned(store)
    await asked(store)
    assert await endable(store) == []
    await a_while_ago(store)
    await had_for(store)
    (run,) = await endable(store)
    assert run.cancelled
    with pytest.raises(RunLost):
        await ended(store, zombie, '"late"')
    (answer, *_) = await cancelled(store, run, instance="alice.2")
    assert answer.body == '"cancelled"'


async def test_replicas_that_poll_by_turns_leave_a_run_to_the_one_that_ends_it(
    store: Store,
) -> None:
    """Its fence would grow with each poll otherwise, and no replica would end it."""
    await owned(store)
    await asked(store)
    await a_while_ago(store, 60)
    await had_for(store, 60)
    began = await store.read(lambda db: db.execute(select(now_s())).scalar_one())
    assert [run.fence for run in await endable(store)] == [2]
    since = await store.read(lambda db: db.execute(select(runs.c.due_at)).scalar_one())
    assert since >= began, "its new owner has it from here on"
    for poll in range(20):
        await had_for(store, 0)  # the machine may be slow, and has two seconds for each poll
        assert await endable(store, f"alice.{2 + poll % 2}") == []
    await had_for(store)
    (run,) = await endable(store, "alice.3")
    assert run.fence == 3, "its new owner has not ended it in time either"


@pytest.mark.parametrize("order", ["cancel", "deadline"])
async def test_a_run_that_its_own_process_computes_is_left_to_its_loop(
    store: Store, order: str
) -> None:
    mine, orphan = await owned(store), await owned(store, "t2")
    await (asked(store) if order == "cancel" else late_by(store, OVERDUE_S))
    await asked(store, "t2")
    await a_while_ago(store)
    await had_for(store)
    found = await endable(store, "alice.1", [mine.run_id])
    assert [run.run_id for run in found] == [orphan.run_id], "that has no loop"
    (run,) = await endable(store, "alice.2", [mine.run_id])
    assert run.run_id == mine.run_id, "another process waits no longer for it"


async def test_a_loop_that_does_not_obey_is_given_up_by_its_own_process(store: Store) -> None:
    mine = await owned(store)
    await asked(store)
    for seconds, taken_back in ((OVERDUE_S, 0), (STUCK_S, 1)):
        await a_while_ago(store, seconds)
        await had_for(store, seconds)
        assert len(await endable(store, "alice.1", [mine.run_id])) == taken_back


@pytest.mark.parametrize("order", ["cancel", "deadline"])
async def test_a_run_whose_end_fails_is_not_taken_again_before_its_delay_is_over(
    store: Store, order: str
) -> None:
    run = await owned(store)
    await (asked(store) if order == "cancel" else late_by(store, OVERDUE_S))
    await a_while_ago(store, 60)
    await store.write(run.run_id, lambda db: hand_over(db, run, delay_s=60))
    assert await endable(store) == await taken(store) == []
    await had_for(store)
    (again,) = await endable(store)
    assert (again.fence, again.failures) == (2, 1)


async def test_a_cancelled_run_of_a_dead_owner_is_known_as_cancelled_when_taken_over(
    store: Store,
) -> None:
    await owned(store)
    await asked(store)
    (run,) = await taken(store, "alice.2", {"alice.1"})
    assert run.cancelled


async def test_two_that_want_to_end_it_do_not_both_get_it(store: Store, store_url: str) -> None:
    for number in range(16):
        await store.write("", partial(heartbeats.record, instance=f"alice.{number}", agent="alice"))
    for number in range(20):
        await claimed(store, request(f"t{number}"), slot=False)
    async with open_store(store_url) as second:
        await asyncio.gather(*(asked(store, f"t{number}") for number in range(20)))
        # A minute ahead: `OVERDUE_S` after it was asked for, any replica may take the run again.
        await a_while_ago(store, -60)
        takes = await asyncio.gather(
            *(endable((store, second)[n % 2], f"alice.{n}") for n in range(8)),
            *(taken((store, second)[n % 2], f"alice.{8 + n}") for n in range(8)),
        )
    got = [run.task_id for runs in takes for run in runs]
    assert sorted(got) == sorted(f"t{number}" for number in range(20))


@pytest.mark.parametrize("late_s", [0.0, OVERDUE_S])
async def test_a_due_run_past_its_deadline_is_taken_and_a_running_one_later(
    store: Store, late_s: float
) -> None:
    await owned(store, "running")
    await claimed(store, request("due"), slot=False)
    await late_by(store, late_s)
    await had_for(store)
    assert (await unwanted(store)).endable
    assert {run.task_id for run in await endable(store)} == (
        {"due", "running"} if late_s else {"due"}
    )


async def test_the_end_answers_open_calls_and_cancels_the_workers_of_its_run(store: Store) -> None:
    run = await owned(store)
    await asked(store)
    messages = await cancelled(store, run, answers=(STOPPED,))
    assert await store.read(lambda db: steps_of(db, run)) == [STOPPED]
    _, order = messages
    assert (order.exchange, order.routing_key) == ("hutch.control", "cancel.bob")
    child = Cancel.model_validate_json(order.body).task_id
    assert child == f"{run.run_id}.1.1.2"
    (row,) = await store.read(lambda db: db.execute(select(rows)).all())
    assert (row.run_id, row.agent) == (run_id("bob", child), "bob")
    assert await cancelled(store, run, answers=(STOPPED,)) == messages, "an unknown commit"


async def test_an_answer_that_came_before_the_end_stays(store: Store) -> None:
    run = await owned(store)
    await store.write(run.run_id, lambda db: write_step(db, run, ACTED))
    await cancelled(store, run, answers=(STOPPED,))
    assert await store.read(lambda db: steps_of(db, run)) == [ACTED]


@pytest.mark.essential
async def test_cancels_and_ends_at_once_leave_one_response_each(
    store: Store, store_url: str
) -> None:
    """Whichever commits first decides; a cancel that came too late is forgotten."""
    mine = [await owned(store, f"t{number}") for number in range(30)]
    async with open_store(store_url) as second:
        ends = [ended(store, run) for run in mine]
        asks = [asked(second, run.task_id) for run in mine]
        sent = (await asyncio.gather(asyncio.gather(*ends), asyncio.gather(*asks)))[0]
    assert all([message.body for message in messages] == [DONE] for messages in sent)
    assert await unwanted(store) == Commands()
    await store.write("", lambda db: cancels.remove_old(db, "alice", 3600))
    assert await kept(store) == 0


async def test_an_owners_end_and_anothers_cancel_at_once_leave_one_response(
    store: Store, store_url: str
) -> None:
    mine = [await owned(store, f"t{number}") for number in range(10)]
    for run in mine:
        await asked(store, run.task_id)
    await a_while_ago(store)
    await had_for(store)

    async def end_them(other: Store) -> None:
        for run in await endable(other):
            await cancelled(other, run, instance="alice.2")

    async with open_store(store_url) as second:
        ends = asyncio.gather(*(ended(store, run) for run in mine), return_exceptions=True)
        outcomes, _ = await asyncio.gather(ends, end_them(second))
    rows_ = await store.read(lambda db: db.execute(select(runs.c.status, runs.c.response)).all())
    assert {tuple(row) for row in rows_} <= {("ok", DONE), ("cancelled", '"cancelled"')}
    lost = [it for it in outcomes if isinstance(it, RunLost)]
    assert len(lost) == sum(row.status == "cancelled" for row in rows_)
    assert len(outcomes) - len(lost) == sum(row.status == "ok" for row in rows_)


async def test_a_cancel_without_a_run_is_deleted_after_its_time(store: Store) -> None:
    await asked(store, "never")
    await store.write("", lambda db: cancels.remove_old(db, "alice", 3600))
    assert await kept(store) == 1
    await a_while_ago(store, 3600)
    await store.write("", lambda db: cancels.remove_old(db, "alice", 3600))
    assert await kept(store) == 0
