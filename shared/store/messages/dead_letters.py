"""Dead letters that the broker's queue `dead` did not take: full, forbidden, gone, or silent.

They stay until an operator replays or drops them; nothing expires here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pydantic import TypeAdapter
from sqlalchemy import delete, func, select
from sqlalchemy.engine import Connection

from shared.contract.dead_letters import Kept
from shared.store.database.dialect import insert_new
from shared.store.schema import dead_letters, runs

_PROPERTIES: TypeAdapter[dict[str, object]] = TypeAdapter(dict[str, object])

KEPT = select(func.count()).select_from(dead_letters).scalar_subquery()
"""How many there are, for a statement that asks for more."""


def add(connection: Connection, letter: Kept) -> int:
    """Keep a letter, again the same one changes nothing; how many there are now."""
    row = {
        "letter_id": letter.id,
        "routing_key": letter.routing_key,
        "body": letter.body,
        "properties": _PROPERTIES.dump_json(dict(letter.properties)).decode(),
    }
    insert_new(connection, dead_letters, row, stamp="kept_at")
    number: int = connection.execute(select(KEPT)).scalar_one()
    return number


def stored(connection: Connection) -> list[Kept]:
    """All of them, the oldest first; one whose properties can't be read has none."""
    query = select(dead_letters).order_by(dead_letters.c.kept_at, dead_letters.c.letter_id)
    return [
        Kept(row.letter_id, row.routing_key, bytes(row.body), _read(row.properties))
        for row in connection.execute(query)
    ]


def remove(connection: Connection, ids: Collection[str]) -> int:
    """Delete these for good; how many there still were."""
    return connection.execute(
        delete(dead_letters).where(dead_letters.c.letter_id.in_(ids))
    ).rowcount


def _read(properties: str) -> dict[str, object]:
    try:
        return _PROPERTIES.validate_json(properties)
    except ValueError:
        return {}


@dataclass(frozen=True)
class KnownRun:
    content_hash: str
    status: str
    """How the run has ended, else its state."""


def known_runs(connection: Connection, run_ids: Collection[str]) -> dict[str, KnownRun]:
    """Those of these runs that there are."""
    query = select(runs.c.run_id, runs.c.content_hash, runs.c.state, runs.c.status)
    rows = connection.execute(query.where(runs.c.run_id.in_(run_ids)))
    return {row.run_id: KnownRun(row.content_hash, row.status or row.state) for row in rows}
