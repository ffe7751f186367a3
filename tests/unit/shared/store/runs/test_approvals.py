"""Requests for approval: a run is parked until a decision, an expiry or a cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from functools import partial

import pytest
from sqlalchemy import update

from services.agent.loop.journal import StepKey
from shared.contract.approvals import ApprovalRequest, ApprovalState
from shared.contract.messages import run_id
from shared.errors import RunLost
from shared.store import Store
from shared.store.queries.approvals import ApprovalFilter, find, listed, pending_counts
from shared.store.queries.reports import Load, loads
from shared.store.queries.timeline import marks_of
from shared.store.retention import delete_runs
from shared.store.runs import approvals, cancels
from shared.store.runs.approvals import Approval, Decided, Effect
from shared.store.runs.parking import parked
from shared.store.runs.run import Run
from shared.store.schema import approvals as rows
from shared.store.schema import now_s, runs
from tests.support.stores.steps import claimed, ended, owned, request, seen, taken

PAY = ApprovalRequest(1, 1, "tool", "pay", '{"amount": 150}', expires_s=600)
REFUND = ApprovalRequest(1, 2, "tool", "refund", '{"amount": 7}', expires_s=900)
MADE = "m" * 32
EDITED = "e" * 32


async def asked(
    store: Store,
    run: Run,
    *requests: ApprovalRequest,
    definition: str = MADE,
    workers: Collection[str] = (),
) -> Sequence[Approval]:
    ask = partial(
        approvals.ask,
        run=run,
        requests=requests,
        definition=lambda _: definition,
        workers=workers,
    )
    return await store.write(run.run_id, ask)


async def decided(
    store: Store,
    approval: Approval,
    state: ApprovalState = ApprovalState.APPROVED,
    by: str = "tom",
    note: str = "",
) -> Decided:
    decide = partial(
        approvals.decide, approval_id=approval.approval_id, decision=state, by=by, note=note
    )
    found = await store.write(approval.run_id, decide)
    assert found is not None
    return found


async def of_run(store: Store, run: Run) -> list[tuple[str, ApprovalState]]:
    found = await store.read(partial(approvals.requests_of, run_id=run.run_id))
    return [(it.name, it.state) for it in found]


async def expired(store: Store) -> int:
    return await store.write("", partial(approvals.expire, agent="alice"))


async def earlier(store: Store, seconds: float) -> None:
    """Move the times of all requests and parked runs back by so much."""
    asked_at = update(rows).values(
        asked_at=rows.c.asked_at - seconds, expires_at=rows.c.expires_at - seconds
    )
    parked_at = update(runs).values(parked_at=runs.c.parked_at - seconds)
    for statement in (asked_at, parked_at):
        await store.write("", lambda db, it=statement: db.execute(it).close())  # type: ignore[misc]  # bound now


async def test_a_run_that_asks_is_parked_without_an_owner(store: Store) -> None:
    run = await owned(store)
    [approval] = await asked(store, run, PAY)
    assert (approval.name, approval.state) == ("pay", ApprovalState.PENDING)
    assert approval.expires_at - approval.asked_at == pytest.approx(600)
    assert await taken(store) == []
    poll = await seen(store, dead=["alice.1"])
    assert (poll.counts.approvals_pending, poll.counts.takeable, poll.counts.due) == (1, 0, 0)
    assert await store.read(loads) == {"alice": Load(parked=1, approvals=1)}
    [mark] = await store.read(partial(marks_of, run_id=run.run_id))
    assert (mark.kind, mark.instance, mark.reason) == ("parked", "alice.1", "pay")


async def test_a_decision_makes_the_run_due_for_any_replica(store: Store) -> None:
    [approval] = await asked(store, run := await owned(store), PAY)
    done = await decided(store, approval, note="the customer is known")
    assert done.effect is Effect.DECIDED
    assert (done.approval.decided_by, done.approval.note) == ("tom", "the customer is known")
    [again] = await taken(store)
    assert (again.run_id, again.fence, again.attempts) == (run.run_id, run.fence + 1, 0)
    assert await of_run(store, run) == [("pay", ApprovalState.APPROVED)]


async def test_the_first_decision_counts(store: Store) -> None:
    [approval] = await asked(store, await owned(store), PAY)
    await decided(store, approval)
    assert (await decided(store, approval, by="ann")).effect is Effect.ALREADY
    other = await decided(store, approval, ApprovalState.DENIED, by="ann")
    assert (other.effect, other.approval.decided_by) == (Effect.OTHERWISE, "tom")


async def test_two_decisions_at_once_have_one_winner(store: Store) -> None:
    [approval] = await asked(store, await owned(store), PAY)
    both = await asyncio.gather(
        decided(store, approval, by="tom"), decided(store, approval, ApprovalState.DENIED, by="ann")
    )
    assert sorted(it.effect for it in both) == [Effect.DECIDED, Effect.OTHERWISE]
    assert both[0].approval.decided_by == both[1].approval.decided_by


async def test_an_unknown_id_decides_nothing(store: Store) -> None:
    decide = partial(
        approvals.decide, approval_id="0000000000", decision=ApprovalState.DENIED, by="tom"
    )
    assert await store.write("", decide) is None


async def test_the_deadline_is_later_by_the_time_in_which_the_run_was_parked(store: Store) -> None:
    run = await owned(store)
    [approval] = await asked(store, run, PAY)
    await earlier(store, 3 * 86400)
    await store.write(
        "", lambda db: db.execute(update(rows).values(expires_at=now_s() + 600)).close()
    )
    await decided(store, approval)
    [again] = await taken(store)
    assert again.deadline_at - run.deadline_at == pytest.approx(3 * 86400, abs=60)
    assert again.parked_s == pytest.approx(3 * 86400, abs=60)


async def test_a_parked_run_past_its_deadline_is_not_ended(store: Store) -> None:
    await asked(store, await owned(store), PAY)
    late = update(runs).values(deadline_at=now_s() - 60, due_at=now_s() - 60)
    await store.write("", lambda db: db.execute(late).close())
    assert not (await seen(store)).commands.endable
    assert await store.write("", lambda db: cancels.take_endable(db, "alice", "alice.2")) == []


async def test_an_expired_request_is_denied_by_the_next_poll(store: Store) -> None:
    [approval] = await asked(store, run := await owned(store), PAY)
    assert not (await seen(store)).commands.expired
    assert await expired(store) == 0
    await earlier(store, 601)
    assert (await seen(store)).commands.expired
    assert await expired(store) == 1
    assert [it.run_id for it in await taken(store)] == [run.run_id]
    assert await of_run(store, run) == [("pay", ApprovalState.EXPIRED)]
    assert (await decided(store, approval)).effect is Effect.OTHERWISE


async def test_a_decision_after_the_expiry_does_not_count(store: Store) -> None:
    [approval] = await asked(store, await owned(store), PAY)
    await earlier(store, 601)
    late = await decided(store, approval)
    assert (late.effect, late.approval.state) == (Effect.OTHERWISE, ApprovalState.EXPIRED)
    assert len(await taken(store)) == 1


async def test_each_of_two_requests_makes_the_run_due(store: Store) -> None:
    run = await owned(store)
    pay, refund = await asked(store, run, PAY, REFUND)
    await decided(store, refund)
    [again] = await taken(store)
    assert await asked(store, again, PAY) == []  # it is asked already
    assert await taken(store) == []
    await decided(store, pay)
    assert len(await taken(store)) == 1
    assert await of_run(store, run) == [
        ("pay", ApprovalState.APPROVED),
        ("refund", ApprovalState.APPROVED),
    ]


async def test_a_decision_before_the_run_parks_again_makes_it_due_at_once(store: Store) -> None:
    pay, refund = await asked(store, await owned(store), PAY, REFUND)
    await decided(store, refund)
    [again] = await taken(store)
    await decided(store, pay)
    await asked(store, again, PAY)
    assert len(await taken(store, "alice.3")) == 1


@pytest.mark.parametrize(
    ("other", "definition"),
    [
        (ApprovalRequest(1, 1, "tool", "pay", '{"amount": 151}', 600), MADE),
        (ApprovalRequest(1, 1, "tool", "wire", PAY.arguments, 600), MADE),
        (ApprovalRequest(2, 1, "tool", "pay", PAY.arguments, 600), MADE),
        (PAY, EDITED),
    ],
)
async def test_another_call_is_another_request_and_the_first_is_withdrawn(
    store: Store, other: ApprovalRequest, definition: str
) -> None:
    run = await owned(store)
    first, refund = await asked(store, run, PAY, REFUND)
    await decided(store, refund)
    [again] = await taken(store)
    [second] = await asked(store, again, other, definition=definition)
    assert second.approval_id != first.approval_id
    assert (await decided(store, first)).effect is Effect.ENDED
    assert await taken(store) == []


async def test_a_definition_that_is_as_it_was_asks_again(store: Store) -> None:
    run = await owned(store)
    first, refund = await asked(store, run, PAY, REFUND)
    await decided(store, refund)
    [again] = await taken(store)
    [second] = await asked(store, again, PAY, definition=EDITED)
    await decided(store, second)
    [third] = await taken(store)
    [reopened] = await asked(store, third, PAY)
    assert (reopened.approval_id, reopened.state) == (first.approval_id, ApprovalState.PENDING)
    assert await taken(store) == []
    assert (await decided(store, reopened)).effect is Effect.DECIDED


async def test_the_end_of_a_run_withdraws_its_requests(store: Store) -> None:
    pay, refund = await asked(store, await owned(store), PAY, REFUND)
    await decided(store, refund)
    [again] = await taken(store)
    await ended(store, again, instance="alice.2")
    assert (await seen(store)).counts.approvals_pending == 0
    assert (await decided(store, pay)).effect is Effect.ENDED


async def test_a_cancelled_run_is_not_parked_any_more(store: Store) -> None:
    run = await owned(store)
    await asked(store, run, PAY)
    assert await store.write("", lambda db: cancels.request(db, "alice", "t1"))
    assert (await seen(store)).commands.endable
    [again] = await store.write("", lambda db: cancels.take_endable(db, "alice", "alice.2"))
    assert (again.run_id, again.cancelled) == (run.run_id, True)


async def test_a_cancel_before_the_run_parks_makes_it_due_at_once(store: Store) -> None:
    run = await owned(store)
    await store.write("", lambda db: cancels.request(db, "alice", "t1"))
    await asked(store, run, PAY)
    assert (await seen(store)).commands.endable


async def test_only_the_owner_parks_a_run(store: Store) -> None:
    run = await owned(store)
    await taken(store, dead={"alice.1"})
    with pytest.raises(RunLost):
        await asked(store, run, PAY)
    assert await of_run(store, run) == []


async def worker_of(store: Store, manager: Run) -> Run:
    """The run of the manager's first call, which an instance computes."""
    return await owned(store, StepKey(1, 1).step_id(manager.run_id, manager.nonce))


async def test_a_manager_parks_with_its_worker_and_goes_on_at_its_end(store: Store) -> None:
    manager = await owned(store, "top")
    worker = await worker_of(store, manager)
    [approval] = await asked(store, worker, PAY)
    ids = [worker.run_id, run_id("alice", "another")]
    assert await store.read(partial(parked, run_ids=ids)) == {worker.run_id}
    await asked(store, manager, workers=[worker.run_id])
    await decided(store, approval)
    [again] = await taken(store)
    assert again.run_id == worker.run_id  # the manager still waits for it
    await ended(store, again, instance="alice.2")
    assert [it.run_id for it in await taken(store)] == [manager.run_id]


async def test_a_manager_whose_worker_goes_on_is_due_at_once(store: Store) -> None:
    manager = await owned(store, "top")
    worker = await worker_of(store, manager)
    [approval] = await asked(store, worker, PAY)
    await decided(store, approval)
    await asked(store, manager, workers=[worker.run_id])
    assert {it.run_id for it in await taken(store)} == {manager.run_id, worker.run_id}


async def test_the_worker_of_a_cancelled_manager_is_not_parked_any_more(store: Store) -> None:
    manager = await owned(store, "top")
    worker = await worker_of(store, manager)
    await asked(store, worker, PAY)
    await store.write("", lambda db: cancels.record(db, "alice", worker.task_id))
    [again] = await store.write("", lambda db: cancels.take_endable(db, "alice", "alice.2"))
    assert again.run_id == worker.run_id


async def test_requests_are_listed_in_pages_and_found_by_the_beginning_of_their_id(
    store: Store,
) -> None:
    for number in range(5):
        await asked(store, await owned(store, f"t{number}"), PAY)
    every = await store.read(lambda db: listed(db, ApprovalFilter(), 10))
    assert len(every) == 5
    first = await store.read(lambda db: listed(db, ApprovalFilter(agent="alice"), 2))
    rest = ApprovalFilter(after=first[-1].approval_id)
    assert [*first, *await store.read(lambda db: listed(db, rest, 10))] == list(every)
    of_root = ApprovalFilter(root_id="t3", agents=["alice", "bob"])
    [found] = await store.read(lambda db: listed(db, of_root, 10))
    assert await store.read(lambda db: find(db, found.approval_id[:7].upper())) == [found]
    assert await store.read(pending_counts) == {"alice": 5}
    await decided(store, found)
    assert await store.read(lambda db: listed(db, of_root, 10)) == []
    all_states = ApprovalFilter(pending=False, root_id="t3")
    assert len(await store.read(lambda db: listed(db, all_states, 10))) == 1


async def test_a_deleted_run_leaves_no_request(store: Store) -> None:
    run = await owned(store)
    await asked(store, run, PAY)
    await store.write("", lambda db: delete_runs(db, [run.run_id]))
    assert await of_run(store, run) == []


async def test_a_task_that_comes_again_joins_its_parked_run(store: Store) -> None:
    await asked(store, await owned(store), PAY)
    assert (await claimed(store, request())).result == "joined"
    assert await taken(store) == []
