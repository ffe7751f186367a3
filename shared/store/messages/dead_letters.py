"""Dead letters in the store: those that the broker's queue `dead` did not accept.

The queue was full, forbidden or deleted, or did not confirm. The dead letters are kept until an
operator replays or drops them; none expires.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pydantic import TypeAdapter
from sqlalchemy import delete, func, select
from sqlalchemy.engine import Connection

from shared.contract.dead_letters import Kept
from shared.store.database.dialect import insert_new
from shared.store.messages.tables import dead_letters
from shared.store.schema import runs

_PROPERTIES: TypeAdapter[dict[str, object]] = TypeAdapter(dict[str, object])

KEPT = select(func.count()).select_from(dead_letters).scalar_subquery()
"""The number of dead letters kept, as a subquery of larger statements."""


def add(connection: Connection, dead_letter: Kept) -> int:
    """Keep a dead letter; returns the number kept now. A repetition changes nothing."""
    row = {
        "letter_id": dead_letter.id,
        "routing_key": dead_letter.routing_key,
        "body": dead_letter.body,
        "properties": _PROPERTIES.dump_json(dict(dead_letter.properties)).decode(),
    }
    insert_new(connection, dead_letters, row, stamp="kept_at")
    return kept_number(connection)


def kept_number(connection: Connection) -> int:
    """The number of dead letters that are kept."""
    number: int = connection.execute(select(KEPT)).scalar_one()
    return number


def stored(connection: Connection) -> list[Kept]:
    """All kept dead letters, oldest first; properties that can't be read are empty."""
    query = select(dead_letters).order_by(dead_letters.c.kept_at, dead_letters.c.letter_id)
    return [
        Kept(row.letter_id, row.routing_key, bytes(row.body), _read(row.properties))
        for row in connection.execute(query)
    ]


def remove(connection: Connection, ids: Collection[str]) -> int:
    """Delete these dead letters; returns how many of them existed."""
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
    """The status of an ended run, the state of an open one."""


def known_runs(connection: Connection, run_ids: Collection[str]) -> dict[str, KnownRun]:
    """Those of the given runs that the store has, by run id."""
    query = select(runs.c.run_id, runs.c.content_hash, runs.c.state, runs.c.status)
    rows = connection.execute(query.where(runs.c.run_id.in_(run_ids)))
    return {row.run_id: KnownRun(row.content_hash, row.status or row.state) for row in rows}
