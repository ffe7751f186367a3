"""Requests for approval as the gateway shows them: newest first, in pages, with their paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json
from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.engine import Connection

from shared.store.queries.approvals import ApprovalFilter, conditions
from shared.store.runs.approvals import Approval, approval_of
from shared.store.schema import approvals, runs

_BEGINNING = 6_000
"""The part of a stored message that is read for its path, which precedes the texts."""


@dataclass(frozen=True)
class ShownApproval:
    """A request, and the agents on the way to its run, that of the run at the end."""

    approval: Approval
    path: Sequence[str]


def newest(
    connection: Connection,
    wanted: ApprovalFilter,
    limit: int,
    before: tuple[float, str] | None = None,
) -> Sequence[ShownApproval]:
    """The newest of the wanted requests, latest first; `before` are the time and the id of the last
    one of the page before."""
    query = _SHOWN.where(*conditions(wanted))
    if before is not None:
        query = query.where(tuple_(*_PLACE) < tuple_(*before))
    return _read(connection, query.order_by(*(it.desc() for it in _PLACE)).limit(limit))


def number(connection: Connection, wanted: ApprovalFilter) -> int:
    """The number of the wanted requests, on all pages."""
    query = select(func.count()).select_from(approvals).where(*conditions(wanted))
    return connection.execute(query).scalar_one()


def of_tree(connection: Connection, root_id: str) -> Sequence[ShownApproval]:
    """All requests of the runs that a root message has caused, oldest first."""
    return _read(connection, _SHOWN.where(approvals.c.root_id == root_id).order_by(*_PLACE))


def one(connection: Connection, approval_id: str) -> ShownApproval | None:
    found = _read(connection, _SHOWN.where(approvals.c.approval_id == approval_id))
    return found[0] if found else None


_PLACE = (approvals.c.asked_at, approvals.c.approval_id)
_SHOWN = select(approvals, func.substr(runs.c.message, 1, _BEGINNING).label("message")).join_from(
    approvals, runs, approvals.c.run_id == runs.c.run_id
)


def _read(connection: Connection, query: Select[Any]) -> Sequence[ShownApproval]:
    found = []
    for row in connection.execute(query).mappings():
        fields = dict(row)
        path = _path(str(fields.pop("message")))
        approval = approval_of(fields)
        found.append(ShownApproval(approval, (*path, approval.agent)))
    return found


def _path(beginning: str) -> Sequence[str]:
    """The agents that the message of a run has visited before, as far as its beginning says so."""
    try:
        read = from_json(beginning, allow_partial="trailing-strings")
    except ValueError:
        return ()
    path = read.get("path") if isinstance(read, dict) else None
    return [str(it) for it in path] if isinstance(path, list) else ()
