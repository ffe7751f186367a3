from __future__ import annotations

import asyncio
import threading

import pytest
from sqlalchemy import text
from sqlalchemy.engine import Connection

from shared.errors import RunLost, StoreError
from shared.store import Store, open_store
from shared.store.processes import heartbeats
from shared.store.runs.run import lock
from shared.store.runs.takeover import set_state
from shared.store.schema import RunState
from tests.support.stores.steps import claimed, owned, request, seen, taken


def refuse(connection: Connection) -> None:
    raise RunLost("gone")


def stumble(connection: Connection) -> None:
    raise KeyError("a fault of ours")


def misspell(connection: Connection) -> None:
    connection.execute(text("SELEKT 1"))


async def add(store: Store, name: str) -> None:
    await store.write(name, lambda db: heartbeats.record(db, name, "alice"))


async def names(store: Store) -> set[str]:
    return set((await seen(store)).heartbeats)


@pytest.mark.parametrize(
    ("operation", "error"), [(refuse, RunLost), (stumble, KeyError), (misspell, StoreError)]
)
async def test_one_that_fails_in_a_group_does_not_touch_the_others(
    store: Store, operation: object, error: type[Exception]
) -> None:
    assert callable(operation)
    results = await asyncio.gather(
        add(store, "a"), store.write("b", operation), add(store, "c"), return_exceptions=True
    )
    assert [type(result) for result in results] == [type(None), error, type(None)]
    await add(store, "d")
    assert await names(store) == {"alice.1", "a", "c", "d"}
    assert store.available


async def test_commits_that_wait_together_share_a_transaction_in_order_of_key(
    store: Store,
) -> None:
    seen: list[tuple[str, int]] = []

    def note(connection: Connection, key: str) -> None:
        seen.append((key, id(connection)))

    writes = [
        store.write(key, lambda db, key=key: note(db, key))  # type: ignore[misc]  # bound now
        for key in ("c", "a", "b")
    ]
    await asyncio.gather(*writes)
    assert [key for key, _ in seen] == ["a", "b", "c"]
    assert len({connection for _, connection in seen}) == 1


async def test_a_write_that_may_wait_is_committed_with_the_next_one(store: Store) -> None:
    may_wait = asyncio.create_task(
        store.write("a", lambda db: heartbeats.record(db, "a", "alice"), within_s=600)
    )
    await asyncio.sleep(0)
    await names(store)
    assert not may_wait.done()
    await add(store, "b")
    await asyncio.wait_for(may_wait, 60)
    assert {"a", "b"} <= await names(store)


async def test_a_write_that_may_wait_is_committed_alone_after_its_time(store: Store) -> None:
    await asyncio.wait_for(
        store.write("a", lambda db: heartbeats.record(db, "a", "alice"), within_s=0.01), 60
    )
    assert "a" in await names(store)


async def test_a_cancelled_writer_leaves_the_others_alone(store: Store) -> None:
    go_on = threading.Event()

    def hold(connection: Connection) -> None:
        go_on.wait(0.2)

    first = asyncio.create_task(store.write("a", hold))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(add(store, "b"))
    also = asyncio.create_task(add(store, "c"))
    await asyncio.sleep(0)
    waiting.cancel()
    go_on.set()
    await asyncio.gather(first, also)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert "c" in await names(store)


async def test_only_cancelled_writers_commit_nothing(store: Store) -> None:
    write = asyncio.create_task(add(store, "b"))
    await asyncio.sleep(0)
    write.cancel()
    await asyncio.wait([write])
    await add(store, "c")
    assert "b" not in await names(store)


async def test_a_store_that_closes_cancels_the_callers_that_still_wait(store_url: str) -> None:
    async with open_store(store_url) as opened:
        write = asyncio.create_task(add(opened, "late"))
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(write, 5)


@pytest.mark.essential
async def test_many_at_once_on_two_stores_all_arrive(store: Store, store_url: str) -> None:
    async with open_store(store_url) as second:
        claims = [
            claimed((store, second)[n % 2], request(f"t{n}"), slot=n % 3 > 0) for n in range(300)
        ]
        assert len({claim.run for claim in await asyncio.gather(*claims)}) == 201


async def test_a_group_with_a_lost_run_commits_the_runs_that_are_held(store: Store) -> None:
    zombie = await owned(store)
    await taken(store, "alice.2", {"alice.1"})
    run = await owned(store, "t2")

    def touch(connection: Connection) -> None:
        set_state(connection, run, RunState.WAITING)

    def late(connection: Connection) -> None:
        lock(connection, zombie)

    lost, held = await asyncio.gather(
        store.write(zombie.run_id, late), store.write(run.run_id, touch), return_exceptions=True
    )
    assert isinstance(lost, RunLost)
    assert held is None
