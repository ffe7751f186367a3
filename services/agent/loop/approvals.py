"""Calls that a person must approve, and what a run waits for while it is parked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from services.agent.llm.chat import ToolSpec
from services.agent.loop.journal import StepKey, StepKind
from shared.contract.approvals import ApprovalDecision, ApprovalRequest, ApprovalState
from shared.errors import HutchError

DENIED = "Not called: a person has denied it."
EXPIRED = "Not called: a person must approve it, and none has decided in time."


@dataclass(frozen=True)
class ParkedWorker:
    """In place of a worker's response: its run is parked."""

    run_id: str


class RunParked(HutchError):
    """The run can't go on before one of these requests is decided, or one of these workers' runs
    has ended. All other calls of the turn are recorded."""

    def __init__(
        self, requests: tuple[ApprovalRequest, ...], workers: tuple[ParkedWorker, ...]
    ) -> None:
        super().__init__("the run waits for a person's decision")
        self.requests = requests
        self.workers = workers


def approval_request(
    key: StepKey, kind: StepKind, spec: ToolSpec, arguments: Mapping[str, JsonValue]
) -> ApprovalRequest | None:
    """The request for the approval of a call; None if it needs none."""
    rule = spec.approval
    if rule is None or not rule.asks(dict(arguments), spec.parameters):
        return None
    text = json.dumps(arguments, sort_keys=True)
    return ApprovalRequest(key.turn, key.index, kind, spec.name, text, rule.expires.total_seconds())


def denial(decision: ApprovalDecision) -> str:
    """The answer to a call that is not made, for the model."""
    if decision.state is ApprovalState.EXPIRED:
        return EXPIRED
    return f"{DENIED} They say: {decision.note}" if decision.note else DENIED
