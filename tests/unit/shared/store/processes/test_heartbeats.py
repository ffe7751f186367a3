from __future__ import annotations

from shared.store import Store
from shared.store.messages import outbox
from shared.store.processes import heartbeats
from tests.support.stores.steps import ended, owned, seen


async def alive(store: Store) -> dict[str, int]:
    return (await seen(store)).heartbeats


async def test_a_heartbeat_registers_the_instance_and_then_counts_up(store: Store) -> None:
    assert await alive(store) == {"alice.1": 1}
    await store.write("", lambda db: heartbeats.record(db, "alice.1", "alice"))
    await store.write("", lambda db: heartbeats.record(db, "bob.1", "bob"))
    assert await alive(store) == {"alice.1": 2}


async def test_an_instance_that_leaves_is_gone_at_once_and_back_with_its_next_heartbeat(
    store: Store,
) -> None:
    await store.write("", lambda db: heartbeats.remove(db, "alice.1"))
    assert await alive(store) == {}
    await store.write("", lambda db: heartbeats.record(db, "alice.1", "alice"))
    assert await alive(store) == {"alice.1": 1}


async def test_a_dead_instance_is_deleted_once_it_owns_no_run_and_no_message(store: Store) -> None:
    run = await owned(store)
    await store.write("", lambda db: heartbeats.remove_dead(db, "alice.1"))
    assert "alice.1" in await alive(store)
    (answer,) = await ended(store, run)
    await store.write("", lambda db: heartbeats.remove_dead(db, "alice.1"))
    assert "alice.1" in await alive(store)
    await store.write("", lambda db: outbox.remove_sent(db, [answer.seq]))
    await store.write("", lambda db: heartbeats.remove_dead(db, "alice.1"))
    assert await alive(store) == {}


async def test_an_undeliverable_message_keeps_no_dead_instance(store: Store) -> None:
    (answer,) = await ended(store, await owned(store))
    await store.write("", lambda db: outbox.mark_undeliverable(db, answer.seq))
    await store.write("", lambda db: heartbeats.remove_dead(db, "alice.1"))
    assert await alive(store) == {}
