"""Leases of a model's limits, on both stores."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from sqlalchemy import func, select, update

from shared.contract.priority import BACKGROUND_WAIT_S, Priority
from shared.settings.limits import ModelLimits
from shared.store import Store
from shared.store.processes import cooldowns, heartbeats
from shared.store.processes.rate_limits import LeaseReplies, LeaseReply, Limiter, give_back
from shared.store.processes.rate_queue import GRACE_S, LeaseRequest
from shared.store.processes.rate_tables import rate_leases, rate_waits
from shared.store.processes.rate_usage import LONGEST_CALL_S, WINDOW_S
from shared.store.runs.takeover import postpone
from shared.store.schema import runs
from tests.support.stores.rate_limits import ask, later
from tests.support.stores.steps import counted, owned

MODEL = "gpt"


def limited(calls: int | None = None, rpm: int | None = None, tpm: int | None = None) -> Limiter:
    limits = ModelLimits(concurrent_calls=calls, requests_per_minute=rpm, tokens_per_minute=tpm)
    return Limiter(MODEL, limits)


async def answers(
    store: Store,
    limit: Limiter,
    *asks: LeaseRequest,
    agent: str = "alice",
    instance: str = "alice.1",
    dead: Collection[str] = (),
) -> LeaseReplies:
    return await store.write("", lambda db: limit.ask(db, agent, instance, asks, dead))


async def answer(
    store: Store, limit: Limiter, it: LeaseRequest, agent: str = "alice", dead: Collection[str] = ()
) -> LeaseReply:
    (found,) = (await answers(store, limit, it, agent=agent, dead=dead)).answers
    return found


async def granted(store: Store, limit: Limiter, run: str, agent: str = "alice") -> bool:
    return (await answer(store, limit, ask(run), agent)).wait_s is None


async def returned(store: Store, it: LeaseRequest, tokens: int = 10, requests: int = 1) -> bool:
    return await store.write("", lambda db: give_back(db, it.lease_id, requests, tokens))


async def test_calls_at_once_are_limited_and_a_returned_lease_is_free_again(store: Store) -> None:
    limit, first = limited(calls=2), ask("r1")
    assert await answer(store, limit, first) == LeaseReply()
    assert await granted(store, limit, "r2")
    refused = await answer(store, limit, third := ask("r3"))
    assert refused.reason == "2 concurrent calls"
    assert await returned(store, first), "another one waits"
    assert await answer(store, limit, third) == LeaseReply()


async def test_the_next_run_asks_again_soon_however_long_calls_take(store: Store) -> None:
    limit, first = limited(calls=1), ask("r1")
    await answer(store, limit, first)
    await later(store, 200)
    await returned(store, first)
    await later(store, -180)
    await answer(store, limit, ask("r2"))
    found = await answers(store, limit, ask("r3"), ask("r4"))
    assert [round(it.wait_s or 0) for it in found.answers] == [5, 300], "200 s each, 300 at most"


async def test_requests_count_for_a_minute_whether_their_calls_have_ended_or_not(
    store: Store,
) -> None:
    limit, first = limited(rpm=2), ask("r1")
    await answer(store, limit, first)
    await returned(store, first)
    await later(store, 20)
    assert await granted(store, limit, "r2")
    refused = await answer(store, limit, third := ask("r3"))
    assert refused.reason == "2 requests per minute"
    assert refused.wait_s is not None
    assert 35 < refused.wait_s <= 41, "until the first one is a minute old"
    await later(store, 41.1)
    assert await answer(store, limit, third) == LeaseReply()
    assert not await granted(store, limit, "r4")


async def test_each_run_that_waits_gets_a_time_of_its_own(store: Store) -> None:
    limit = limited(rpm=2)
    await answers(store, limit, ask("r1"), ask("r2"))
    found = await answers(store, limit, *(ask(f"r{n}") for n in range(3, 8)))
    waits = [round(it.wait_s or 0) for it in found.answers]
    assert waits[:2] == [61, 61]
    assert waits[2:] == [92, 122, 152]


async def test_tokens_are_estimated_before_the_call_and_corrected_after_it(store: Store) -> None:
    limit, first = limited(tpm=100), ask("r1", tokens=80)
    await answer(store, limit, first)
    refused = await answer(store, limit, second := ask("r2", tokens=40))
    assert refused.reason == "100 tokens per minute"
    await returned(store, first, tokens=60)
    assert await answer(store, limit, second) == LeaseReply()


async def test_a_call_counts_as_many_requests_as_it_has_made(store: Store) -> None:
    limit, first = limited(rpm=3), ask("r1")
    await answer(store, limit, first)
    await returned(store, first, requests=3)
    assert not await granted(store, limit, "r2")


async def test_agents_take_turns_however_many_runs_of_one_wait(store: Store) -> None:
    limit = limited(rpm=1)
    await answer(store, limit, ask("a0"))
    await answers(store, limit, *(ask(f"a{n}") for n in range(1, 5)))
    await answer(store, limit, ask("b1"), agent="bob")
    order = []
    for _ in range(3):
        await later(store, WINDOW_S)
        for run in ("a1", "b1", "a2", "a3"):
            if run not in order and await granted(store, limit, run, _agent(run)):
                order.append(run)
    assert order == ["b1", "a1", "a2"] or order == ["a1", "b1", "a2"]


def _agent(run: str) -> str:
    return "alice" if run.startswith("a") else "bob"


async def test_interactive_work_goes_first_and_background_work_still_advances(
    store: Store,
) -> None:
    limit = limited(rpm=1)
    await answer(store, limit, ask("r0"))
    await answer(store, limit, slow := ask("r1", priority=Priority.BACKGROUND))
    await answer(store, limit, quick := ask("r2"))
    await later(store, WINDOW_S)
    assert (await answer(store, limit, slow)).wait_s is not None
    assert await answer(store, limit, quick) == LeaseReply()
    await later(store, BACKGROUND_WAIT_S)
    newer, older = (await answers(store, limit, ask("r3"), slow)).answers
    assert newer.wait_s is not None
    assert older == LeaseReply()


async def test_a_run_that_does_not_come_when_it_is_its_turn_is_passed_over_with_its_agent(
    store: Store,
) -> None:
    limit = limited(rpm=1)
    await answer(store, limit, ask("a0"))
    for run in ("a1", "a2", "a3"):
        await answer(store, limit, ask(run))
    await answer(store, limit, ask("b1"), agent="bob")
    await later(store, 2 * WINDOW_S + GRACE_S + 1)
    assert await granted(store, limit, "b1", "bob")


async def test_a_run_that_asks_again_has_kept_its_rank(store: Store) -> None:
    run, limit = await owned(store), limited(rpm=1)
    await answer(store, limit, ask("r0"))
    await answer(store, limit, ask(run.run_id))
    await answer(store, limit, ask("r2"))
    await later(store, WINDOW_S + GRACE_S + 1)
    assert await granted(store, limit, run.run_id)


async def test_the_leases_of_a_dead_process_are_free_again(store: Store) -> None:
    await store.write("", lambda db: heartbeats.record(db, "bob.1", "bob"))
    limit = limited(calls=1)
    await answers(store, limit, ask("b1"), agent="bob", instance="bob.1")
    found = await answers(store, limit, ask("a1"))
    assert found.holders == {"bob.1": 1}
    assert (await answer(store, limit, ask("a1"), dead=["bob.1"])) == LeaseReply()


async def test_the_leases_of_a_process_that_has_exited_are_free_at_once(store: Store) -> None:
    await store.write("", lambda db: heartbeats.record(db, "bob.1", "bob"))
    limit = limited(calls=1)
    await answers(store, limit, ask("b1"), agent="bob", instance="bob.1")
    await store.write("", lambda db: heartbeats.remove(db, "bob.1"))
    assert await granted(store, limit, "a1")


async def test_a_lease_that_no_process_returns_is_given_up(store: Store) -> None:
    limit = limited(calls=1)
    await answer(store, limit, ask("r1"))
    await later(store, LONGEST_CALL_S + 1)
    assert await granted(store, limit, "r2")


async def test_all_hold_back_while_the_endpoint_asks_to_wait(store: Store) -> None:
    limit = limited()
    assert await granted(store, limit, "r1")
    await store.write("", lambda db: cooldowns.cool_down(db, MODEL, 20.0))
    found = await answers(store, limit, ask("r2"), ask("r3"))
    assert {it.reason for it in found.answers} == {"its endpoint asks to wait"}
    assert all(19 < (it.wait_s or 0) < 21 for it in found.answers)
    await later(store, 20.5)
    assert await granted(store, limit, "r2")


SLOW_S = 2.0
"""Between a cool-down and the reading of what is left of it, on a slow machine."""


async def test_a_cool_down_grows_with_each_refusal_until_a_call_succeeds(store: Store) -> None:
    async def wait_s() -> float:
        await store.write("", lambda db: cooldowns.cool_down(db, MODEL, None))
        return (await answer(store, limited(), ask("r1"))).wait_s or 0.0

    assert await wait_s() == pytest.approx(5, abs=SLOW_S)
    assert await wait_s() == pytest.approx(5, abs=SLOW_S), (
        "a refusal during a cool-down is of an earlier call"
    )
    await later(store, 5.1)
    assert await wait_s() == pytest.approx(10, abs=SLOW_S)
    await later(store, 10.1)
    await store.write("", lambda db: cooldowns.recover(db, MODEL))
    assert await wait_s() == pytest.approx(5, abs=SLOW_S)


async def test_a_return_wakes_the_postponed_run_whose_turn_it_is(store: Store) -> None:
    limit, first, run = limited(calls=1), ask("r1"), await owned(store)
    await answer(store, limit, first)
    await answer(store, limit, ask(run.run_id))
    away = lambda db: postpone(db, run, failures=0, wait_s=200, detail="waiting")  # noqa: E731
    await store.write(run.run_id, away)
    assert (await counted(store)).takeable == 0
    assert (await counted(store)).delayed == 0, "it is no run that was claimed for later"
    await returned(store, first)
    await answers(store, limit)
    assert (await counted(store)).takeable == 1


async def test_asks_that_are_repeated_after_an_unknown_commit_are_granted_once(
    store: Store,
) -> None:
    limit, first = limited(calls=2, rpm=2), ask("r1")
    assert await answer(store, limit, first) == await answer(store, limit, first) == LeaseReply()
    number = select(func.count()).select_from(rate_leases)
    assert await store.read(lambda db: db.execute(number).scalar()) == 1


async def test_the_waits_of_runs_that_have_ended_are_forgotten(store: Store) -> None:
    limit, run = limited(rpm=1), await owned(store)
    await answer(store, limit, ask("r0"))
    await answer(store, limit, ask(run.run_id))
    over = update(runs).values(ended_at=1.0)
    await store.write("", lambda db: db.execute(over))
    await later(store, WINDOW_S + GRACE_S + 1)
    await answers(store, limit, ask("r1"), ask("r2"))
    names = select(rate_waits.c.run_id)
    assert await store.read(lambda db: list(db.execute(names).scalars())) == ["r2"]
