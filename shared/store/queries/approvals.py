"""Requests for approval and their decisions, for people. Like `reports`, this only reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.engine import Connection

from shared.contract.approvals import ApprovalState
from shared.store.runs.approvals import PENDING, Approval, approval_of
from shared.store.schema import approvals

MOST_MATCHES = 20
"""The most requests that a search by a short beginning returns."""


@dataclass(frozen=True)
class ApprovalFilter:
    """Selects requests for a list; an empty field selects all.

    `agents` are the only agents that are listed; None: all. `after` is the id of a request: only
    those that come after it in the list, which begins with the oldest.
    """

    pending: bool = True
    """Only those without a decision."""
    state: ApprovalState | None = None
    agent: str | None = None
    agents: Collection[str] | None = None
    run_id: str | None = None
    root_id: str | None = None
    after: str | None = None


def listed(connection: Connection, wanted: ApprovalFilter, limit: int) -> Sequence[Approval]:
    """The wanted requests, oldest first."""
    query = select(approvals).where(*conditions(wanted))
    ordered = query.order_by(approvals.c.asked_at, approvals.c.approval_id).limit(limit)
    return [approval_of(row) for row in connection.execute(ordered).mappings()]


def conditions(wanted: ApprovalFilter) -> Iterator[ColumnElement[bool]]:
    """The conditions on a request that a filter means."""
    if wanted.pending:
        yield PENDING
    if wanted.state is not None:
        yield approvals.c.state == wanted.state
    if wanted.agent is not None:
        yield approvals.c.agent == wanted.agent
    if wanted.agents is not None:
        yield approvals.c.agent.in_(wanted.agents)
    if wanted.run_id is not None:
        yield approvals.c.run_id == wanted.run_id
    if wanted.root_id is not None:
        yield approvals.c.root_id == wanted.root_id
    if wanted.after is not None:
        of_last = approvals.c.approval_id == wanted.after
        asked_at = select(approvals.c.asked_at).where(of_last).scalar_subquery()
        yield tuple_(approvals.c.asked_at, approvals.c.approval_id) > tuple_(asked_at, wanted.after)


def find(connection: Connection, key: str) -> Sequence[Approval]:
    """The request with this id, or those whose ids begin so; oldest first."""
    begins = approvals.c.approval_id.startswith(key.casefold(), autoescape=True)
    query = select(approvals).where(begins).order_by(approvals.c.asked_at).limit(MOST_MATCHES)
    found = [approval_of(row) for row in connection.execute(query).mappings()]
    return [it for it in found if it.approval_id == key.casefold()] or found


def pending_counts(connection: Connection) -> dict[str, int]:
    """The number of pending requests of each agent that has one."""
    query = select(approvals.c.agent, func.count()).where(PENDING).group_by(approvals.c.agent)
    return {row[0]: row[1] for row in connection.execute(query)}
