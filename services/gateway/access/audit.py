"""Recording who did what."""

from __future__ import annotations

from services.gateway.access.caller import Caller
from shared.store import Store
from shared.store.processes import audit


async def record(store: Store, caller: Caller, action: str, subject: str, detail: str = "") -> None:
    """Record an action before it is done, so that none is done without a row.

    `action` is like `task.send`, `subject` names what it is done to, like `alice/ID`. Neither they
    nor `detail` may contain a prompt, an answer or a key.
    """
    key_id, name = caller.key_id, caller.name
    await store.write("", lambda db: audit.record(db, key_id, name, action, subject, detail))
