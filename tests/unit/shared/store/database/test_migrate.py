from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.engine import Connection

from shared.errors import StoreError
from shared.store import Store, open_store
from shared.store.database.migrate import migrate
from shared.store.knowledge import tables as _knowledge  # noqa: F401 - they add tables to `metadata`
from shared.store.messages import tables as _messages  # noqa: F401
from shared.store.processes import access_tables, rate_tables  # noqa: F401
from shared.store.schema import REVISION, metadata


async def test_a_store_migrated_twice_stays_the_same_store(store_url: str) -> None:
    async with open_store(store_url) as store:
        first = store.id
    await migrate(store_url)
    async with open_store(store_url) as store:
        assert store.id == first


@pytest.mark.essential
async def test_two_migrations_at_once_make_one_store(empty_url: str) -> None:
    await asyncio.gather(*(migrate(empty_url) for _ in range(12)))
    async with open_store(empty_url) as store:
        assert len(store.id) == 32


async def test_the_migrations_create_the_schema(store: Store) -> None:
    def differences(connection: Connection) -> list[object]:
        opts = {"compare_type": True, "include_name": is_ours}
        context = MigrationContext.configure(connection, opts=opts)
        return list(compare_metadata(context, metadata))

    def is_ours(name: str | None, kind: str, parents: Mapping[str, str | None]) -> bool:
        """The index of words is the database's own, so no table describes it."""
        return not (name or "").startswith(("passage_words", "passages_words", "words"))

    assert await store.read(differences) == []


async def test_an_empty_store_names_the_command_to_run(empty_url: str) -> None:
    with pytest.raises(StoreError, match="the store is empty; run 'hutch migrate' first"):
        async with open_store(empty_url):
            raise AssertionError("opened")


async def test_a_store_of_another_revision_is_refused(store: Store, store_url: str) -> None:
    await store.write("", lambda db: db.execute(text("UPDATE alembic_version SET version_num='9'")))
    with pytest.raises(StoreError, match=rf"revision 9, this version needs {REVISION}"):
        async with open_store(store_url):
            raise AssertionError("opened")
