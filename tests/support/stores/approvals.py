"""Calls that wait for approval, for tests of the store and of the gateway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from shared.contract.approvals import ApprovalRequest, ApprovalState
from shared.contract.call_ids import Call, call_id
from shared.contract.messages import Task, encode, run_id
from shared.store import Store
from shared.store.runs.approvals import Approval, Decided, ask, decide
from shared.store.runs.run import Run
from tests.support.stores.steps import DEFINITION, claimed, request

DAY_S = 86_400.0


def call(
    name: str = "refund", position: int = 1, arguments: str = '{"amount":249}'
) -> ApprovalRequest:
    return ApprovalRequest(1, position, "tool", name, arguments, 7 * DAY_S)


async def run_of(store: Store, task: Task, agent: str = "alice") -> Run:
    """A fresh run of a task that an agent's first process computes."""
    id = task.id or ""
    of_alice = request(id)
    asked = replace(
        of_alice,
        run_id=run_id(agent, id),
        agent=agent,
        message=encode(task).decode(),
        root_id=task.root_id or id,
        parent_id=task.parent_id,
    )
    run = (await claimed(store, asked, f"{agent}.1")).run
    assert run is not None
    return run


async def worker_of(store: Store, manager: Run, agent: str = "bob") -> Run:
    """A run that a manager's first call has caused."""
    id = call_id(Call(manager.run_id, 1, 1), manager.nonce)
    task = Task(
        id=id,
        content="Do it.",
        root_id=manager.root_id,
        parent_id=manager.task_id,
        path=(manager.agent,),
    )
    return await run_of(store, task, agent)


async def parked(store: Store, run: Run, *calls: ApprovalRequest) -> Sequence[Approval]:
    """Park a run for the approval of calls; returns the requests."""
    park = partial(ask, run=run, requests=calls or (call(),), definition=lambda _: DEFINITION)
    return await store.write(run.run_id, park)


async def decided(
    store: Store, approval: Approval, state: ApprovalState = ApprovalState.APPROVED
) -> Decided:
    write = partial(decide, approval_id=approval.approval_id, decision=state, by="ops", note="Go.")
    found = await store.write(approval.run_id, write)
    assert found is not None
    return found
