"""Files in the results of a run's tools, each stored once for the run, and deleted with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from shared.store.database.dialect import insert_new
from shared.store.schema import files

MOST_FILES = 100
MOST_BYTES = 64 * 1024 * 1024
"""The most files of a run, and their size together."""


@dataclass(frozen=True)
class StoredFile:
    digest: str
    media_type: str
    size: int


def write_files(connection: Connection, run_id: str, found: Mapping[str, tuple[str, bytes]]) -> int:
    """Store files by their digests, each with its media type; returns how many the run has now of
    these. Repeating it changes nothing."""
    return sum(_write(connection, run_id, digest, *file) for digest, file in found.items())


def _write(
    connection: Connection, run_id: str, digest: str, media_type: str, content: bytes
) -> bool:
    key = {"run_id": run_id, "digest": digest}
    if connection.scalar(select(files.c.size).filter_by(**key)) is not None:
        return True
    of_run = select(func.count(), func.coalesce(func.sum(files.c.size), 0))
    number, size = connection.execute(of_run.where(files.c.run_id == run_id)).one()
    if number >= MOST_FILES or size + len(content) > MOST_BYTES:
        return False
    row = {**key, "media_type": media_type, "size": len(content), "content": content}
    insert_new(connection, files, row, stamp="kept_at")
    return True


def files_of(connection: Connection, run_id: str) -> Sequence[StoredFile]:
    """The files of a run, the oldest first."""
    query = (
        select(files.c.digest, files.c.media_type, files.c.size)
        .where(files.c.run_id == run_id)
        .order_by(files.c.kept_at, files.c.digest)
    )
    return [StoredFile(*row) for row in connection.execute(query)]


def read_file(connection: Connection, run_id: str, digest: str) -> tuple[StoredFile, bytes] | None:
    """A file of a run by the beginning of its digest; None if there is none, or more than one."""
    query = select(files).where(
        files.c.run_id == run_id, files.c.digest.startswith(digest, autoescape=True)
    )
    rows = connection.execute(query.limit(2)).all()
    if len(rows) != 1 or not digest:
        return None
    row = rows[0]
    return StoredFile(row.digest, row.media_type, row.size), bytes(row.content)
