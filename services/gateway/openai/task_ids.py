"""The ids of tasks, so that the repetition of a request is recognised by any gateway.

An id is also that of the completion or response that the client gets: `resp_alice_` and 32
hexadecimal digits. Without an `Idempotency-Key` the first 20 of these are a hash of the request.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import partial
from secrets import token_hex
from typing import Literal

from services.gateway.openai.conversation import session_of
from shared.contract.messages import AGENT_NAME
from shared.store import Store
from shared.store.messages import sent

Kind = Literal["chatcmpl", "resp"]

JOIN_S = 900.0
"""A repeated request gets the answer of a run that has ended at most so long ago. OpenAI's clients
wait 600 s before they repeat a request."""

_HASH_DIGITS, _DIGITS = 20, 32
_ID = re.compile(rf"(?:chatcmpl|resp)_({AGENT_NAME[1:-1]})_[0-9a-f]{{{_DIGITS}}}")


def agent_of(task_id: str) -> str | None:
    """The agent in an id; None if it is none of ours."""
    found = _ID.fullmatch(task_id)
    return found[1] if found else None


async def task_id(
    store: Store,
    kind: Kind,
    key_id: str,
    agent: str,
    headers: Mapping[str, str],
    body: bytes,
) -> str:
    """The id of a request's task.

    The same `Idempotency-Key` of the same caller gives the same id. A request that a client library
    says it repeats has the id of the earlier one, whose run is then joined.
    """
    beginning = f"{kind}_{agent}_"
    if key := headers.get("idempotency-key"):
        return beginning + _hash(key_id, key)[:_DIGITS]
    beginning += _hash(key_id, session_of(headers) or "", body)[:_HASH_DIGITS]
    if headers.get("x-stainless-retry-count", "0") != "0":
        repeated = await store.read(
            partial(sent.repeatable, receiver=agent, beginning=beginning, within_s=JOIN_S)
        )
        if repeated is not None:
            return repeated
    return beginning + token_hex((_DIGITS - _HASH_DIGITS) // 2)


def _hash(*parts: str | bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "replace") if isinstance(part, str) else part
        found.update(b"%d:" % len(data) + data)
    return found.hexdigest()
