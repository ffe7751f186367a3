"""The id of a run's call: the task id of a worker, and the idempotency key of a tool."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import NamedTuple

FIRST_EPOCH = 1
SEAL_BYTES = 12
"""Length in bytes of the part of an id that can't be guessed."""

_CALL = re.compile(r"([0-9a-f]{32})\.1\.(\d{1,9})\.(\d{1,9})(?:\.[0-9a-f]{24})?")


class Call(NamedTuple):
    """A call's place: its run, turn, and position among the turn's calls, from 1."""

    run_id: str
    turn: int
    position: int


def call_id(call: Call, nonce: str) -> str:
    """The id of a call.

    It always contains the number of the first epoch, so it is the same in every epoch: a call
    that a replayed run repeats is recognised, and its result found.

    The last part is derived from the run's `nonce`, which only the store knows, so the id
    can't be derived from the run's id or from the id of another call. Runs of earlier
    versions have no nonce; the ids of their calls have no last part.
    """
    place = f"{call.run_id}.{FIRST_EPOCH}.{call.turn}.{call.position}"
    if not nonce:
        return place
    seal = blake2b(place.encode(), key=nonce.encode(), digest_size=SEAL_BYTES)
    return f"{place}.{seal.hexdigest()}"


def call_of(task_id: str) -> Call | None:
    """The call that a worker's task comes from, by its id; None if it has no such id.

    A client can choose such an id too: the run's `parent_id` must also be the caller's task.
    """
    found = _CALL.fullmatch(task_id)
    return Call(found[1], int(found[2]), int(found[3])) if found else None
