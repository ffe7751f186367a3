"""The audit table: what clients of the gateway have done, and who has made and revoked keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.engine import Connection

from shared.store.processes.access_tables import audit
from shared.store.schema import now_s

SUBJECT_CHARS = 255
"""The size of the column; a longer subject is cut."""


@dataclass(frozen=True)
class AuditRow:
    """An action of a client. `key_id` is empty where no key was needed."""

    seq: int
    """A later row has a higher number."""
    at: datetime
    key_id: str
    """Empty also where the command line was used."""
    key_name: str
    action: str
    subject: str
    detail: str


def record(
    connection: Connection, key_id: str, key_name: str, action: str, subject: str, detail: str = ""
) -> None:
    """Record an action. It is recorded twice if the first commit's outcome was unknown."""
    connection.execute(
        insert(audit).values(
            at=now_s(),
            key_id=key_id,
            key_name=key_name,
            action=action,
            subject=_storable(subject)[:SUBJECT_CHARS],
            detail=_storable(detail),
        )
    )


def _storable(text: str) -> str:
    """The text without what PostgreSQL refuses: NUL and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def newest(connection: Connection, limit: int, before: int | None = None) -> Sequence[AuditRow]:
    """At most `limit` rows, the newest first; with `before` only those with a lower number."""
    query = select(audit).order_by(audit.c.seq.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.seq < before)
    return [
        AuditRow(
            row.seq,
            datetime.fromtimestamp(row.at, UTC),
            row.key_id,
            row.key_name,
            row.action,
            row.subject,
            row.detail,
        )
        for row in connection.execute(query)
    ]


def remove_old(connection: Connection, keep_s: float) -> None:
    """Delete the rows of `keep_s` ago and earlier."""
    connection.execute(delete(audit).where(audit.c.at <= now_s() - keep_s))
