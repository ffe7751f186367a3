"""A request for approval in words, for the commands that show one."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from pydantic_core import from_json

from services.cli import output
from shared.contract.approvals import ApprovalState
from shared.store.runs.approvals import Approval


def decision(approval: Approval, *, with_note: bool = True) -> str:
    """The decision, who made it and why; for a pending request, until when it waits."""
    if approval.state is ApprovalState.PENDING:
        return f"pending until {_time(approval.expires_at)}"
    by = f" by {approval.decided_by}" if approval.decided_by else ""
    at = f" at {_time(approval.decided_at)}" if approval.decided_at else ""
    note = f": {approval.note}" if approval.note and with_note else ""
    return f"{approval.state}{by}{at}{note}"


def paragraph(approval: Approval) -> str:
    """The whole request, with the commands that decide on it while it is pending."""
    lines = [
        f"approval {approval.approval_id} of {approval.agent} for {approval.name}: "
        f"{decision(approval)}",
        approval.arguments,
    ]
    if approval.state is ApprovalState.PENDING:
        lines.append(
            f"'hutch approve {approval.approval_id}' or 'hutch deny {approval.approval_id}'"
        )
    return "\n".join(lines)


def fields(approval: Approval) -> dict[str, object]:
    """The request for JSON: times in UTC, arguments as an object."""
    found: dict[str, object] = dict(vars(approval))
    for name in ("asked_at", "expires_at", "decided_at"):
        at = found[name]
        found[name] = datetime.fromtimestamp(at, UTC) if isinstance(at, float) else None
    with suppress(ValueError):  # what is no JSON, or in a damaged row, is shown as it is stored
        found["arguments"] = from_json(approval.arguments, allow_inf_nan=False)
    return found


def _time(seconds: float) -> str:
    return output.local_time(datetime.fromtimestamp(seconds, UTC))
