from __future__ import annotations

from functools import partial

from services.gateway.access.audit import record
from services.gateway.access.caller import OPEN, Caller
from shared.store import Store
from shared.store.processes import audit
from shared.store.processes.api_keys import Scope


async def test_a_row_says_who_did_what_to_what(store: Store) -> None:
    caller = Caller("0123456789ab", "laptop", Scope.RUN.included(), None)
    await record(store, caller, "task.send", "alice/t1")
    await record(store, OPEN, "agent.pause", "bob", "until Monday")
    rows = await store.read(partial(audit.newest, limit=9))
    assert [(it.key_id, it.key_name, it.action, it.subject, it.detail) for it in rows] == [
        ("", "open", "agent.pause", "bob", "until Monday"),
        ("0123456789ab", "laptop", "task.send", "alice/t1", ""),
    ]
