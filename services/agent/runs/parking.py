"""Parking: a run that waits for a person's decision is given up until then.

It needs no slot and no memory, and any replica goes on with it. A run whose workers are parked is
parked as well, as soon as nothing else of it is under way.
"""

from __future__ import annotations

from functools import partial

import structlog

from services.agent.instance import Instance
from services.agent.loop.approvals import RunParked
from shared.contract.approvals import ApprovalState
from shared.store.runs.approvals import Approval, ask
from shared.store.runs.run import Run

log = structlog.get_logger()


async def park(instance: Instance, run: Run, waiting: RunParked) -> None:
    """Ask for the decisions and give the run up. Raises `RunLost` and the store's errors."""
    write = partial(
        ask,
        run=run,
        requests=waiting.requests,
        definition=partial(instance.call_digest, run),
        workers={it.run_id for it in waiting.workers},
    )
    new = await instance.store.write(run.run_id, write)
    for it in new:
        instance.announce(
            "approval.requested", run, approval=it.approval_id, kind=it.kind, call=it.name
        )
    instance.announce("run.parked", run, approvals=len(waiting.requests))
    asked = [it.approval_id for it in new]
    log.info("run parked", approvals=asked, workers=len(waiting.workers))


def report_decision(instance: Instance, run: Run, approval: Approval) -> None:
    """Announce a decision that takes effect now."""
    by = approval.decided_by or ""
    instance.announce(
        "approval.decided",
        run,
        approval=approval.approval_id,
        kind=approval.kind,
        call=approval.name,
        state=approval.state,
        by=by,
    )
    denied = approval.state is not ApprovalState.APPROVED
    log.info("call denied" if denied else "call approved", approval=approval.approval_id, by=by)
