"""One sentence on how a run has ended, or what it does."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from shared.client.costs import Cost
from shared.contract.messages import Response, Status, Usage
from shared.store.queries.reports import Row
from shared.store.schema import RunState

REASON_CHARS = 300

_VERBS = {
    Status.OK: "Answered",
    Status.PARTIAL: "Answered in part",
    Status.REFUSED: "Refused",
    Status.FAILED: "Failed",
    Status.TIMEOUT: "Timed out",
    Status.CANCELLED: "Cancelled",
}


def outcome(
    row: Row,
    response: Response | None,
    detail: str | None,
    agents: Collection[str],
    usage: Usage,
    cost: Cost,
    now: datetime,
    waits_for: str = "",
) -> str:
    """`agents` are those of the runs that the run has caused; `usage` and `cost` include
    them. `waits_for` names the calls that wait for approval."""
    spent = _spent(usage, cost)
    if row.ended_at is None:
        return _open(row, detail, spent, now, waits_for)
    verb = _VERBS.get(Status(row.status)) if row.status in set(Status) else "Ended"
    after = f"{verb} after {duration((row.ended_at - row.claimed_at).total_seconds())}"
    if row.status == Status.OK:
        return f"{after} by {row.agent}{_with(agents)}{spent}."
    if row.status == Status.PARTIAL:
        return f"{after} by {row.agent}{_with(agents)}{_because(detail)}{spent}."
    if row.status == Status.CANCELLED:
        return f"{after}{_with(agents)}{spent}."
    return f"{after}{_because(response.content if response else detail)}{spent}."


def duration(seconds: float) -> str:
    seconds = max(0.0, seconds)
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def _open(row: Row, detail: str | None, spent: str, now: datetime, waits_for: str) -> str:
    lasts = duration((now - row.claimed_at).total_seconds())
    match row.status:
        case RunState.RUNNING:
            return f"Running for {lasts} at {row.agent}{spent}."
        case RunState.WAITING:
            return f"Waiting for its workers, for {lasts} since it was claimed{spent}."
        case RunState.PARKED:
            what = f"the approval of {waits_for}" if waits_for else "approval"
            return f"Waiting for {what}, for {lasts} since it was claimed{spent}."
        case RunState.DUE if row.due_at and row.due_at > now:
            left = duration((row.due_at - now).total_seconds())
            return f"Due in {left}{_because(detail)}{spent}."
        case _:
            return f"Waiting to be taken by a process of {row.agent}, for {lasts}{spent}."


def _with(agents: Collection[str]) -> str:
    if not agents:
        return ""
    return f" with {len(agents)} worker{'' if len(agents) == 1 else 's'}"


def _because(reason: str | None) -> str:
    text = " ".join((reason or "").split()).rstrip(".")
    return f" ({text[:REASON_CHARS]}{'…' if len(text) > REASON_CHARS else ''})" if text else ""


def _spent(usage: Usage, cost: Cost) -> str:
    if not usage.model_calls:
        return ""
    calls = f"{usage.model_calls:,} model call{'' if usage.model_calls == 1 else 's'}"
    parts = [calls, f"{usage.tokens:,} tokens"]
    if cost.usd:
        least = "at least " if cost.incomplete else ""
        parts.append(f"{least}${cost.usd:.6f}".rstrip("0").rstrip("."))
    return ": " + ", ".join(parts)
