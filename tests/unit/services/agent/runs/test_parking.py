"""Parking a run of a process, and the decision that its next owner finds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest

from services.agent.instance import Instance
from services.agent.loop.approvals import ParkedWorker, RunParked
from services.agent.loop.journal import StepKey
from services.agent.runs.parking import park, report_decision
from services.agent.runs.store_journal import StoredJournal
from services.agent.runs.workers import Replies
from shared.contract.approvals import ApprovalDecision, ApprovalRequest, ApprovalState
from shared.contract.messages import run_id
from shared.store import Store
from shared.store.runs.approvals import Approval, ask, decide
from shared.store.runs.run import Run
from shared.store.runs.steps import resumed
from tests.support.processes.instances import instance
from tests.support.stores.steps import owned, taken

PAY = ApprovalRequest(1, 1, "tool", "pay", '{"amount": 150}', expires_s=600)


@pytest.fixture
def own(store: Store) -> Instance:
    return instance(store)


async def journal(own: Instance, run: Run, seen: list[Approval]) -> StoredJournal:
    """That of the run's next owner."""
    found = await own.store.read(lambda db: resumed(db, run))
    return StoredJournal(
        own.store,
        run,
        found.steps,
        asked=found.approvals,
        definition=partial(own.call_digest, run),
        on_decision=seen.append,
    )


async def decided(store: Store, approval: Approval, note: str = "") -> None:
    write = partial(
        decide,
        approval_id=approval.approval_id,
        decision=ApprovalState.DENIED,
        by="tom",
        note=note,
    )
    await store.write(approval.run_id, write)


async def requests(store: Store, run: Run) -> Sequence[Approval]:
    return (await store.read(lambda db: resumed(db, replace(run, parked_at=1.0)))).approvals


async def test_the_next_owner_finds_the_decision_on_that_very_call(own: Instance) -> None:
    run = await owned(own.store)
    await park(own, run, RunParked((PAY,), ()))
    [request] = await requests(own.store, run)
    await decided(own.store, request, "Too much.")
    [again] = await taken(own.store)
    seen: list[Approval] = []
    found = await journal(own, again, seen)
    assert found.decision(PAY) == ApprovalDecision(ApprovalState.DENIED, "Too much.")
    assert [it.decided_by for it in seen] == ["tom"]
    report_decision(own, again, seen[0])
    assert found.decision(replace(PAY, arguments='{"amount": 151}')) is None
    assert found.decision(replace(PAY, position=2)) is None
    other = StoredJournal(own.store, again, asked=[seen[0]], definition=lambda _: "another")
    assert other.decision(PAY) is None


@pytest.mark.parametrize("state", [ApprovalState.DENIED, ApprovalState.EXPIRED])
async def test_a_later_denial_under_another_definition_is_stronger_than_an_approval(
    own: Instance, state: ApprovalState
) -> None:
    run = await owned(own.store)
    await park(own, run, RunParked((PAY,), ()))
    [request] = await requests(own.store, run)
    await decided(own.store, request)
    [request] = await requests(own.store, run)
    approved = replace(request, state=ApprovalState.APPROVED)
    denied = replace(
        request,
        approval_id="another",
        definition="edited",
        state=state,
        decided_at=(request.decided_at or 0.0) + 1.0,
    )
    elsewhere = replace(denied, position=2)
    for others, expected in (
        ([denied], state),
        ([replace(denied, decided_at=1.0)], ApprovalState.APPROVED),
        ([elsewhere], ApprovalState.APPROVED),
    ):
        found = StoredJournal(
            own.store,
            run,
            asked=[approved, *others],
            definition=partial(own.call_digest, run),
        ).decision(PAY)
        assert found is not None
        assert found.state is expected


async def test_a_withdrawn_request_is_no_decision(own: Instance) -> None:
    run = await owned(own.store)
    await park(own, run, RunParked((PAY,), ()))
    parked = replace(run, parked_at=1.0)
    await park(own, parked, RunParked((replace(PAY, position=2),), ()))
    assert (await journal(own, parked, [])).decision(PAY) is None


async def test_a_run_without_a_decision_has_none(own: Instance) -> None:
    run = await owned(own.store)
    await park(own, run, RunParked((PAY,), ()))
    parked = replace(run, parked_at=1.0)
    assert (await journal(own, parked, [])).decision(PAY) is None


async def test_a_wait_for_a_worker_ends_when_its_run_is_parked(own: Instance) -> None:
    manager = await owned(own.store, "top")
    call = StepKey(1, 1).step_id(manager.run_id, manager.nonce)
    worker = await owned(own.store, call)
    replies = Replies(own)
    with replies.expect(call, "alice") as reply, replies.expect("other", "alice") as other:
        watching = asyncio.create_task(replies.watch_parked())
        await own.store.write(
            worker.run_id, partial(ask, run=worker, requests=[PAY], definition=lambda _: "d")
        )
        async with asyncio.timeout(60):
            assert await reply == ParkedWorker(run_id("alice", call))
        assert not other.done()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
