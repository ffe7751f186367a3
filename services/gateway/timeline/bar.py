"""One bar of a timeline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field


class BarKind(StrEnum):
    QUEUED = "queued"
    """Sent, and not claimed yet; it begins by its sender's clock."""
    SLOT = "slot"
    """Claimed, and waiting for a slot, or for its turn in its session."""
    MODEL = "model"
    TOOL = "tool"
    WORKER = "worker"
    POSTPONED = "postponed"
    """Waiting until its model can be asked again, or for the time that its task names."""
    DEAD = "dead"
    """Its process was dead, and no other had taken it over."""
    RESUMED = "resumed"
    """A moment: a process goes on with it."""
    PARKED = "parked"
    """Given up by its process, ended as failed and replayed later, or parked as its worker is."""
    APPROVAL = "approval"
    """A call of it waits for a person's decision."""


@dataclass(slots=True)
class StepKey:
    """A step's key in its run."""

    epoch: int
    turn: int
    position: int


@dataclass(slots=True)  # a tree can have many thousands: pydantic's models take three times as long
class Bar:
    """A span of time of a run; `to` is null while it lasts."""

    kind: BarKind
    name: Annotated[str, Field(description="of the step, tool or worker; empty for a wait")]
    from_: Annotated[datetime, Field(alias="from")]
    to: datetime | None
    step: Annotated[StepKey | None, Field(description="the finished step, or the one in progress")]
    instance: Annotated[str | None, Field(description="the process, where it is known")]
    reason: str
    child_run_id: Annotated[str | None, Field(description="the worker's run")]


def span(
    kind: BarKind,
    began: float,
    until: float | None,
    *,
    instance: str | None = None,
    reason: str = "",
) -> Bar:
    """A bar that is no step."""
    return Bar(
        kind=kind,
        name="",
        from_=time_of(began),
        to=None if until is None else time_of(until),
        step=None,
        instance=instance,
        reason=reason,
        child_run_id=None,
    )


def time_of(seconds: float) -> datetime:
    return datetime.fromtimestamp(max(0.0, seconds), UTC)
