"""Notes: the broadcasts of peers that an agent remembers."""

import json
from collections.abc import Iterator

import structlog
from pydantic import JsonValue
from sqlalchemy import bindparam, delete, select
from sqlalchemy.engine import Connection

from shared.contract.prompts import note
from shared.store.database.dialect import insert_new
from shared.store.database.prepared import Prepared
from shared.store.schema import notes

NOTES_KEPT = 20
"""The number of newest notes that an agent keeps and a run is shown: about a page of text."""

NOTE_CHARS = 1000
"""The length to which a note is cut; the peer's run keeps the whole answer."""


log = structlog.get_logger()
_RECENT = Prepared(
    lambda _: (
        select(notes.c.message_id, notes.c.peer, notes.c.body)
        .where(notes.c.agent == bindparam("agent"))
        .order_by(notes.c.heard_at, notes.c.message_id)
    )
)


def remember(connection: Connection, agent: str, message_id: str, peer: str, body: str) -> bool:
    """Keep a note and delete the oldest ones; False if this message was received before."""
    values = {
        "agent": agent,
        "message_id": message_id,
        "peer": peer,
        "body": json.dumps(body[:NOTE_CHARS]),
    }
    if not insert_new(connection, notes, values, stamp="heard_at"):
        return False
    kept = (
        select(notes.c.message_id)
        .where(notes.c.agent == agent)
        .order_by(notes.c.heard_at.desc(), notes.c.message_id)
        .limit(NOTES_KEPT)
    )
    connection.execute(delete(notes).where(notes.c.agent == agent, notes.c.message_id.not_in(kept)))
    return True


def recent(connection: Connection, agent: str) -> tuple[str, ...]:
    """The agent's notes, oldest first, in the form for a run: "From tom: …".

    A note that can't be read is logged and left out.
    """
    return tuple(_readable(connection, agent))


def _readable(connection: Connection, agent: str) -> Iterator[str]:
    for message_id, peer, stored, *_ in _RECENT.rows(connection, {"agent": agent}):
        try:
            body: JsonValue = json.loads(stored)
        except (ValueError, TypeError, RecursionError) as error:
            log.warning("damaged note not remembered", note=message_id, reason=str(error))
            continue
        yield note(peer, str(body))
