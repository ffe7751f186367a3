"""What people have ordered, as one process of an agent reads it: in one look, locking nothing."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from shared.store import cancels, pauses, shutdowns
from shared.store.cancels import Unwanted
from shared.store.shutdowns import Mode


@dataclass(frozen=True)
class Orders:
    unwanted: Unwanted
    paused: bool
    shutdown: Mode | None


def read(connection: Connection, agent: str, instance: str) -> Orders:
    return Orders(
        unwanted=cancels.unwanted(connection, agent),
        paused=bool(pauses.paused(connection) & {agent, pauses.ALL}),
        shutdown=shutdowns.asked(connection, instance),
    )
