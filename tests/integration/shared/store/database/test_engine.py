from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from functools import partial

import pytest
from sqlalchemy import text

from shared.errors import StoreError, StoreUnavailable
from shared.store import Store, open_store
from shared.store.database.engine import POOL_SIZE
from shared.store.database.migrate import migrate
from shared.store.database.postgresql import PostgresqlDatabase
from shared.store.processes import heartbeats
from tests.support.brokers.waiting import until
from tests.support.stores.postgresql import PASSWORD, Postgres
from tests.support.stores.steps import claimed, request, seen, until_away

STORES = ["postgresql"]

IN_TRANSACTION = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"


async def test_a_wrong_password_is_one_sentence_that_does_not_show_it(
    postgresql: Postgres, postgresql_url: str
) -> None:
    with pytest.raises(StoreError, match=r"authentication failed.*check HUTCH_STORE") as caught:
        await migrate(postgresql_url.replace(PASSWORD, "wr0ng"))
    assert "wr0ng" not in str(caught.value)
    assert not isinstance(caught.value, StoreUnavailable)


async def test_a_database_that_does_not_exist_is_one_sentence(postgresql: Postgres) -> None:
    with pytest.raises(StoreError, match='database "nowhere" does not exist; check HUTCH_STORE'):
        await migrate(postgresql.url("nowhere"))


@pytest.mark.essential
async def test_a_server_that_goes_away_is_waited_for(
    store: Store, store_url: str, postgresql: Postgres
) -> None:
    with postgresql.away(store_url):
        write = asyncio.create_task(
            store.write("", lambda db: heartbeats.record(db, "bob.1", "bob"))
        )
        read = asyncio.create_task(seen(store))
        await until_away(store)
    await write
    assert (await read).heartbeats == {"alice.1": 1}
    assert (await seen(store, "bob")).heartbeats == {"bob.1": 1}
    assert store.available


@pytest.mark.essential
@pytest.mark.parametrize("operations", [1, 2])
async def test_a_transaction_that_a_frozen_server_begins_later_is_not_left_open(
    postgresql: Postgres, store: Store, store_url: str, operations: int
) -> None:
    """Of one operation or of a group; the server gets BEGIN before the timeout."""
    database = PostgresqlDatabase(lambda: store_url, pool_size=1, command_timeout_s=1)
    beats = [partial(heartbeats.record, instance="bob.1", agent="bob")] * operations
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        await database.run_group(beats)
        with postgresql.frozen(), pytest.raises(StoreUnavailable):
            await database.run_group(beats)
        await database.run(lambda db: db.execute(text("SELECT 1")))  # not in that transaction
        await until(lambda: postgresql.sql(IN_TRANSACTION) == "0")
        assert (await seen(store, "bob")).heartbeats == {"bob.1": operations}


@pytest.mark.essential
@pytest.mark.parametrize("operations", [1, 2])
async def test_lost_connections_are_replaced_although_nothing_is_read(
    postgresql: Postgres, store: Store, store_url: str, operations: int
) -> None:
    beats = [partial(heartbeats.record, instance="bob.1", agent="bob")] * operations
    name = store_url.rpartition("/")[2]
    ending = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    async with AsyncExitStack() as stack:
        database = PostgresqlDatabase(lambda: store_url, pool_size=1)
        stack.push_async_callback(database.close)
        await database.run_group(beats)
        postgresql.sql(ending)
        with pytest.raises(StoreUnavailable):
            await database.run_group(beats)
        await database.run_group(beats)


async def test_a_server_that_only_reads_is_unavailable_and_its_successor_is_used(
    postgresql: Postgres, store: Store, store_url: str
) -> None:
    name = store_url.rpartition("/")[2]
    beat = partial(heartbeats.record, instance="bob.1", agent="bob")
    async with AsyncExitStack() as stack:
        postgresql.sql(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        database = PostgresqlDatabase(lambda: store_url, pool_size=1)
        stack.push_async_callback(database.close)
        for operations in (1, 2):
            with pytest.raises(StoreUnavailable, match="read-only"):
                await database.run_group([beat] * operations)
        postgresql.sql(f'ALTER DATABASE "{name}" SET default_transaction_read_only = off')
        await database.run_group([beat])


async def test_patience_with_a_server_ends(store_url: str, postgresql: Postgres) -> None:
    async with open_store(store_url, retry_for_s=0.1) as store:
        with postgresql.away(store_url), pytest.raises(StoreUnavailable):
            await store.write("", lambda db: heartbeats.record(db, "bob.1", "bob"))
        await store.write("", lambda db: heartbeats.record(db, "bob.1", "bob"))


async def test_a_text_that_postgresql_refuses_is_refused_at_once(store: Store) -> None:
    for bad in ("nul \0", "half \ud83d"):
        with pytest.raises(StoreError) as caught:
            await claimed(store, request(content=bad))
        assert not isinstance(caught.value, StoreUnavailable)


async def test_a_password_may_change_meanwhile_but_not_the_store(
    postgresql: Postgres, postgresql_url: str
) -> None:
    await migrate(postgresql_url)
    address = [postgresql_url]
    name = postgresql_url.rpartition("/")[2]
    lost = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    async with open_store(lambda: address[0], retry_for_s=0) as store:
        for wrong, why in (
            (postgresql_url.replace(PASSWORD, "wr0ng"), "authentication failed"),
            (postgresql_url.replace(name, "hutch"), "names another store than before"),
            ("sqlite:///other.db", "names another store than before"),
        ):
            address[0] = wrong
            postgresql.sql(lost)
            with suppress(StoreUnavailable):  # this is how it finds its connection lost
                await store.write("", lambda db: heartbeats.record(db, "bob.1", "bob"))
            with pytest.raises(StoreUnavailable, match=why):
                await store.write("", lambda db: heartbeats.record(db, "bob.1", "bob"))
        address[0] = postgresql_url
        await store.write("", lambda db: heartbeats.record(db, "bob.1", "bob"))


async def test_many_reads_at_once_share_few_connections(store: Store) -> None:
    """`max_connections` is derived from it."""
    held = text(
        "SELECT count(*), pg_sleep(0.1) FROM pg_stat_activity WHERE datname = current_database()"
    )
    reads = (store.read(lambda db: db.execute(held).one()[0]) for _ in range(9))
    assert max(await asyncio.gather(*reads)) == POOL_SIZE
