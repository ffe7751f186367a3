"""Whose turn it is in a session, and what it is shown of what was said before."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from shared.contract.messages import Status, Trigger, encode
from shared.store import Store, open_store
from shared.store.queries.history import finished_work
from shared.store.runs import cancels, sessions
from shared.store.runs.claim import Verdict
from shared.store.runs.replay import Replayed, replay
from shared.store.runs.run import Run
from shared.store.runs.steps import DAMAGED_CHECK, Step, write_step
from shared.store.runs.takeover import hand_over
from tests.support.stores.sessions import asking, begun, claim_of, over, present
from tests.support.stores.steps import claimed, counted, request, taken


async def ended_unrun(store: Store) -> list[Run]:
    return await store.write("", lambda db: cancels.take_endable(db, "alice", "alice.2"))


async def takeable(store: Store) -> int:
    return (await counted(store)).takeable


async def test_the_first_of_a_session_runs_at_once_and_the_next_waits(store: Store) -> None:
    first = await begun(store, "t1")
    waiting = await claim_of(store, "t2")
    assert (waiting.verdict, waiting.run) == (Verdict.CLAIMED, None)
    assert await takeable(store) == 0
    assert await taken(store) == []
    await over(store, first)
    assert await takeable(store) == 1
    (second,) = await taken(store)
    assert second.recalled == (("task t1", "answer t1"),)


async def test_waiting_runs_continue_in_claim_order_one_at_a_time(store: Store) -> None:
    run = await begun(store, "t0")
    for number in (3, 1, 2):
        await claim_of(store, f"t{number}")
    order = []
    while True:
        await over(store, run)
        found = await taken(store, "alice.1")
        if not found:
            break
        (run,) = found
        order.append(run.task_id)
    assert order == ["t3", "t1", "t2"]
    assert [asked for asked, _ in run.recalled] == ["task t0", "task t3", "task t1"]


async def test_without_a_slot_the_first_is_due_and_the_next_is_not(store: Store) -> None:
    await present(store, "alice.2")
    for number in range(3):
        await claim_of(store, f"t{number}", slot=False)
    assert await takeable(store) == 1
    assert [run.task_id for run in await taken(store)] == ["t0"]
    assert await taken(store) == []


async def test_a_postponed_run_keeps_its_turn_in_the_session(store: Store) -> None:
    first = await begun(store, "t1")
    await claim_of(store, "t2")
    await store.write(first.run_id, lambda db: hand_over(db, first, delay_s=600))
    assert await taken(store) == []


async def test_other_sessions_other_agents_and_no_session_don_t_wait(store: Store) -> None:
    await begun(store, "t1")
    await begun(store, "t2", "s2")
    assert (await claimed(store, request("t3"))).run is not None
    await present(store, "bob.1")
    assert (await claimed(store, asking("t4", agent="bob"), "bob.1")).run is not None


async def test_a_run_caused_by_another_belongs_to_its_session_without_waiting_in_it(
    store: Store,
) -> None:
    await begun(store, "t1")
    caused = replace(asking("t1.call"), takes_turns=False)
    run = (await claimed(store, caused)).run
    assert run is not None
    assert (run.session, run.recalled) == ("s1", ())


async def test_a_dead_owners_run_continues_before_the_next_of_its_session(store: Store) -> None:
    await begun(store, "t1")
    await claim_of(store, "t2")
    await present(store, "alice.2")
    (again,) = await taken(store, "alice.2", {"alice.1"})
    assert again.task_id == "t1"
    assert await taken(store, "alice.2", {"alice.1"}) == []
    await over(store, again, instance="alice.2")
    assert [run.task_id for run in await taken(store, "alice.2", {"alice.1"})] == ["t2"]


async def test_a_waiting_run_past_its_deadline_is_answered_before_its_turn_and_frees_the_next(
    store: Store,
) -> None:
    first = await begun(store, "t1")
    await claimed(store, replace(asking("t2"), deadline_at=1.0))
    await claim_of(store, "t3")
    (late,) = await ended_unrun(store)
    assert late.task_id == "t2"
    await over(store, late, status=Status.TIMEOUT, instance="alice.2")
    assert await taken(store) == []
    await over(store, first)
    (third,) = await taken(store)
    assert (third.task_id, third.recalled) == ("t3", (("task t1", "answer t1"),))


async def test_a_waiting_run_that_is_cancelled_is_answered_before_its_turn(store: Store) -> None:
    await begun(store, "t1")
    await claim_of(store, "t2")
    await store.write("", lambda db: cancels.request(db, "alice", "t2"))
    assert [run.task_id for run in await ended_unrun(store)] == ["t2"]


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.OK, Status.PARTIAL}))
async def test_a_run_that_did_not_end_with_an_answer_is_not_remembered(
    store: Store, status: Status
) -> None:
    await over(store, await begun(store, "t1"), status=Status.PARTIAL)
    await over(store, await begun(store, "t2"), status=status)
    assert (await begun(store, "t3")).recalled == (("task t1", "answer t1"),)


async def test_a_duplicate_joins_or_is_answered_and_takes_no_place(store: Store) -> None:
    first = await begun(store, "t1")
    assert (await claim_of(store, "t1")).run == first
    assert (await claimed(store, asking("t1"), "alice.2")).verdict is Verdict.JOINED
    await over(store, first)
    assert (await claim_of(store, "t1")).verdict is Verdict.ANSWERED
    await begun(store, "t2")


async def test_the_recalled_history_is_frozen_when_the_run_begins(store: Store) -> None:
    await over(store, await begun(store, "t1"))
    second = await begun(store, "t2")
    await claim_of(store, "t3")
    await store.write("", lambda db: sessions.freeze_recalled(db, [second.run_id]))
    await store.write(second.run_id, lambda db: hand_over(db, second))
    (again,) = await taken(store, "alice.1")
    assert again.recalled == second.recalled == (("task t1", "answer t1"),)


async def test_the_newest_are_recalled_as_far_as_they_fit(store: Store) -> None:
    for number, said in enumerate(("short", "short", "x" * 99, "short")):
        await over(store, await begun(store, f"t{number}"), said)
    recalled = await store.read(
        lambda db: sessions.recall(db, "alice", "s1", 5, most_chars=40, text_chars=12)
    )
    assert recalled == (("task t2", "x" * 12), ("task t3", "short"))


@pytest.mark.parametrize(
    ("output", "recalled"),
    [
        ('{"outcome": "changed", "text": "[card]"}', "[card]"),
        ('{"outcome": "passed"}', "task t1"),
        ("damaged", DAMAGED_CHECK),
    ],
)
async def test_a_task_is_recalled_as_its_checks_have_left_it(
    store: Store, output: str, recalled: str
) -> None:
    run = await begun(store, "t1")
    for place, said in ((-2, '{"outcome": "changed", "text": "task t1"}'), (-1, output)):
        step = Step(0, place, "tool", "checks.py:cards", said)
        await store.write(run.run_id, partial(write_step, run=run, step=step))
    await over(store, run)
    assert (await begun(store, "t2")).recalled == ((recalled, "answer t1"),)


async def test_no_more_than_so_many_are_recalled(store: Store) -> None:
    for number in range(4):
        await over(store, await begun(store, f"t{number}"))
    recalled = await store.read(lambda db: sessions.recall(db, "alice", "s1", 5, most_runs=2))
    assert [asked for asked, _ in recalled] == ["task t2", "task t3"]


async def test_the_first_that_is_recalled_stays_the_same_for_many_runs(store: Store) -> None:
    first, numbers = [], []
    for number in range(1, 46):
        run = await begun(store, f"t{number}")
        first.append(run.recalled[0][0] if run.recalled else "")
        numbers.append(len(run.recalled))
        await over(store, run)
    assert numbers == [*range(21), *range(11, 21), *range(11, 21), *range(11, 15)]
    assert set(first) == {"", "task t1", "task t11", "task t21", "task t31"}


async def test_a_trigger_is_recalled_by_its_words(store: Store) -> None:
    trigger = encode(Trigger(id="t1", content="Plan the day.", session="s1")).decode()
    run = (await claimed(store, replace(asking("t1"), kind="trigger", message=trigger))).run
    assert run is not None
    await over(store, run)
    assert (await begun(store, "t2")).recalled == (("Plan the day.", "answer t1"),)


async def test_sessions_are_no_part_of_what_an_agent_sums_up(store: Store) -> None:
    await over(store, await begun(store, "t1"))
    assert await store.read(lambda db: finished_work(db, "alice")) == []


@pytest.mark.essential
async def test_claims_that_race_make_one_line(store: Store, store_url: str) -> None:
    await present(store, *(f"alice.{number}" for number in range(2, 7)))
    async with open_store(store_url) as second:
        both = (store, second)
        claims = await asyncio.gather(
            *(
                claimed(both[n % 2], asking(f"t{n}", f"s{n % 3}"), f"alice.{1 + n % 2}")
                for n in range(24)
            )
        )
        running = [it.run for it in claims if it.run is not None]
        assert sorted(run.session or "" for run in running) == ["s0", "s1", "s2"]
        seen = dict.fromkeys(("s0", "s1", "s2"), 0)
        while running:
            for run in running:
                assert run.session is not None
                assert len(run.recalled) == seen[run.session]
                seen[run.session] += 1
                await over(store, run)
            takes = [taken(it, f"alice.{n}", limit=2) for n, it in enumerate(both * 2, 3)]
            running = [run for found in await asyncio.gather(*takes) for run in found]
            assert len({run.session for run in running}) == len(running), "one at a time"
    assert seen == {"s0": 8, "s1": 8, "s2": 8}


async def test_an_end_that_races_a_claim_leaves_no_requester_waiting(
    store: Store, store_url: str
) -> None:
    await present(store, "alice.2")
    async with open_store(store_url) as second:
        run = await begun(store, "t0")
        for number in range(1, 20):
            next_claim = claimed(second, asking(f"t{number}"), "alice.2")
            _, claim = await asyncio.gather(over(store, run), next_claim)
            run = claim.run or (await taken(second, "alice.2"))[0]
            assert len(run.recalled) == number


async def test_a_replayed_run_waits_for_a_later_run_of_its_session(store: Store) -> None:
    first = await begun(store, "t1")
    await over(store, first, status=Status.FAILED)
    second = await begun(store, "t2")
    again = await store.write("", lambda db: replay(db, first.run_id, first.epoch, 600, None))
    assert again is Replayed.AGAIN
    assert await taken(store) == []
    await over(store, second)
    assert [run.task_id for run in await taken(store)] == ["t1"]
