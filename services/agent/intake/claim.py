"""Claims: one commit turns a message into a run; the run starts here if a slot is free."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from uuid import uuid4

import structlog

from services.agent.delivery.outbox import Outbox
from services.agent.instance import Instance
from services.agent.intake.task_limit import TaskLimit
from services.agent.loop.work import Outcome
from services.agent.runs.admission import Admission
from services.agent.runs.ending import response
from services.agent.runs.open_runs import OpenRuns
from shared.contract.content_hash import content_hash, earlier_content_hash
from shared.contract.messages import (
    Status,
    Task,
    Trigger,
    encode,
    response_id,
    run_id,
)
from shared.contract.times import delay_fault
from shared.errors import BadMessage
from shared.store.messages.requesters import Requester
from shared.store.runs.claim import MOST_DELAYED, ClaimResult, Request, claim
from shared.store.runs.end import RunEnd, refuse
from shared.store.runs.run import Run

log = structlog.get_logger()

Kind = Literal["task", "trigger", "reaction", "tick"]

OWN_ID = "@"
"""The first character of the ids of an agent's own ticks and reactions. Such ids can be guessed, so
messages from outside may not use them."""


@dataclass
class Claims:
    instance: Instance
    admission: Admission
    runs: OpenRuns
    outbox: Outbox
    task_limit: TaskLimit = field(init=False)

    def __post_init__(self) -> None:
        self.task_limit = TaskLimit(self.instance)

    async def accept(
        self,
        message: Task | Trigger,
        kind: Kind,
        requester: Requester | None = None,
        cause: str | None = None,
    ) -> None:
        """Claim a message; returns once it is a committed run, or its stored response is sent.

        The caller acks after that. Raises `BadMessage` if the id belongs to other content, or is
        one of the agent's own, or if the message can't be delayed as it asks. `cause` is the agent
        whose run has sent the message: if its runs send too many, the message is answered
        `refused`.
        """
        if message.id is None:
            message = message.model_copy(update={"id": uuid4().hex})
        elif message.id.startswith(OWN_ID) and kind in {"task", "trigger"}:
            raise BadMessage(
                f"id: those that begin with '{OWN_ID}' are the agent's own; choose another"
            )
        if fault := delay_fault(message.not_before, message.deadline, message.session):
            raise BadMessage(f"not_before: {fault}")
        request = self._request(message, kind, requester)
        if cause is not None and (reason := self.task_limit.refusal(cause)):
            await self._refuse(request, message, reason)
            return
        spare = slot = self.admission.try_take()
        try:
            claimed = await self.instance.store.write(
                request.key,
                lambda db: claim(db, request, self.instance.id, slot=slot is not None),
            )
            if slot and claimed.run and not self.runs.holds(claimed.run.run_id):
                self.runs.start(claimed.run, slot)
                spare = None
        finally:
            if spare:
                spare.release()
        self.outbox.send(claimed.outbound)
        if claimed.result is ClaimResult.DELAYED:
            log.info("run delayed", run=request.run_id, not_before=str(message.not_before))
        if claimed.result is ClaimResult.CLAIMED and claimed.run is None:
            # Any replica may take it: there was no slot here, or its session had an open run.
            self.admission.note_due(waits=slot is None)
        if claimed.result is ClaimResult.CONFLICT:
            raise _conflict(request)
        if claimed.result is ClaimResult.TOO_MANY:
            raise BadMessage(
                f"not_before: {request.agent} has {MOST_DELAYED} delayed tasks, which is the most: "
                "send it later"
            )

    async def _refuse(self, request: Request, message: Task | Trigger, reason: str) -> None:
        """Commit claim and end of a run together, so that a repeated message is refused too."""

        def ending_of(run: Run) -> RunEnd:
            refusal = response(run, message, Outcome(status=Status.REFUSED, content=reason))
            return RunEnd(refusal.status, response_id(run.run_id), encode(refusal).decode())

        claimed = await self.instance.store.write(
            request.key, lambda db: refuse(db, request, self.instance.id, ending_of)
        )
        self.outbox.send(claimed.outbound)
        if claimed.result is ClaimResult.CONFLICT:
            raise _conflict(request)
        if claimed.result is ClaimResult.CLAIMED:
            self.instance.metrics.runs_ended.labels(Status.REFUSED).inc()

    def _request(self, message: Task | Trigger, kind: Kind, requester: Requester | None) -> Request:
        definition = self.instance.definition
        task_id = message.id or ""
        return Request(
            run_id=run_id(definition.name, task_id),
            agent=definition.name,
            task_id=task_id,
            kind=kind,
            content_hash=content_hash(message),
            earlier_hash=earlier_content_hash(message),
            message=encode(message).decode(),
            definition=self.instance.snapshot.digest,
            root_id=message.root_id or task_id,
            parent_id=message.parent_id,
            timeout_s=definition.limits.timeout.total_seconds(),
            deadline_at=message.deadline.timestamp() if message.deadline else None,
            requester=requester,
            with_notes=definition.swarm is not None and message.session is None,
            session=message.session,
            takes_turns=message.session is not None and not message.path,
            not_before=message.not_before.timestamp() if message.not_before else 0.0,
            priority=message.priority,
        )


def _conflict(request: Request) -> BadMessage:
    return BadMessage(
        f"the id '{request.task_id}' was used for another {request.kind}; draw a new one"
    )
