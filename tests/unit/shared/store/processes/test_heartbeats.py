from __future__ import annotations

from shared.store import Store
from shared.store.messages import outbox
from shared.store.processes.heartbeats import beat, bury, leave
from tests.support.stores.steps import ended, owned, seen


async def alive(store: Store) -> dict[str, int]:
    return (await seen(store)).beats


async def test_a_beat_registers_and_then_counts_up(store: Store) -> None:
    assert await alive(store) == {"alice.1": 1}
    await store.write("", lambda db: beat(db, "alice.1", "alice"))
    await store.write("", lambda db: beat(db, "bob.1", "bob"))
    assert await alive(store) == {"alice.1": 2}


async def test_an_instance_that_leaves_is_gone_at_once_and_back_by_its_next_beat(
    store: Store,
) -> None:
    await store.write("", lambda db: leave(db, "alice.1"))
    assert await alive(store) == {}
    await store.write("", lambda db: beat(db, "alice.1", "alice"))
    assert await alive(store) == {"alice.1": 1}


async def test_an_instance_is_buried_once_it_owns_nothing(store: Store) -> None:
    run = await owned(store)
    await store.write("", lambda db: bury(db, "alice.1"))
    assert "alice.1" in await alive(store)
    (answer,) = await ended(store, run)
    await store.write("", lambda db: bury(db, "alice.1"))
    assert "alice.1" in await alive(store)
    await store.write("", lambda db: outbox.sent(db, [answer.seq]))
    await store.write("", lambda db: bury(db, "alice.1"))
    assert await alive(store) == {}


async def test_an_undeliverable_message_keeps_no_dead_instance(store: Store) -> None:
    (answer,) = await ended(store, await owned(store))
    await store.write("", lambda db: outbox.undeliverable(db, answer.seq))
    await store.write("", lambda db: bury(db, "alice.1"))
    assert await alive(store) == {}
