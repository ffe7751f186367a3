"""Requests for the approval of calls, and the decisions on them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b


class ApprovalState(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    """No decision came in time; for the run it is a denial."""
    WITHDRAWN = "withdrawn"
    """The run has ended, or asks for another call instead."""


DENIALS = (ApprovalState.DENIED, ApprovalState.EXPIRED)
DECISIONS = (ApprovalState.APPROVED, *DENIALS)


@dataclass(frozen=True)
class ApprovalRequest:
    """A call that needs approval. `turn` and `position` are those of its step, `arguments` is JSON
    with sorted keys."""

    turn: int
    position: int
    kind: str
    name: str
    arguments: str
    expires_s: float

    @property
    def hash(self) -> str:
        call = "\0".join((self.kind, self.name, self.arguments))
        return blake2b(call.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class ApprovalDecision:
    """A decision: approved, denied or expired; `note` is the person's, for the model."""

    state: ApprovalState
    note: str = ""
