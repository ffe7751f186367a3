from __future__ import annotations

from functools import partial

from shared.store import Store
from shared.store.messages.sent import receivers, record, remove_old


async def test_a_sent_message_is_known_with_each_of_its_receivers_until_it_is_old(
    store: Store,
) -> None:
    for receiver in ("bob", "hutch.swarm.office", "bob"):
        await store.write("", partial(record, message_id="t1", receiver=receiver))
    assert await store.read(partial(receivers, message_id="t1")) == ["bob", "hutch.swarm.office"]
    assert await store.read(partial(receivers, message_id="t2")) == []
    await store.write("", partial(remove_old, keep_s=3600.0))
    assert await store.read(partial(receivers, message_id="t1"))
    await store.write("", partial(remove_old, keep_s=0.0))
    assert await store.read(partial(receivers, message_id="t1")) == []
