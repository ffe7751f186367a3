"""Recording who did what."""

from __future__ import annotations

from functools import partial

from services.gateway.access.caller import Caller
from shared.store import Store
from shared.store.processes import audit


async def record(store: Store, caller: Caller, action: str, subject: str, detail: str = "") -> None:
    """Record an action before it is done, so that none is done without a row.

    `action` is like `task.send`, `subject` names what it is done to, like `alice/ID`. Neither they
    nor `detail` may contain a prompt, an answer or a key.
    """
    await store.write(
        "",
        partial(
            audit.record,
            key_id=caller.key_id,
            key_name=caller.name,
            action=action,
            subject=subject,
            detail=detail,
        ),
    )
