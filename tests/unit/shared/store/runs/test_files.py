"""Files in the results of a run's tools."""

from __future__ import annotations

import pytest

from shared.store import Store
from shared.store.retention import delete_runs
from shared.store.runs import files
from shared.store.runs.files import files_of, read_file, write_files

ONE, TWO = "ab" + "0" * 62, "ab" + "1" * 62
IMAGE = ("image/png", b"\x89PNG\0")


async def kept(store: Store, run_id: str = "r1") -> list[str]:
    return [it.digest for it in await store.read(lambda db: files_of(db, run_id))]


async def test_a_file_is_stored_once_for_a_run_and_deleted_with_it(store: Store) -> None:
    for _ in range(2):
        assert await store.write("", lambda db: write_files(db, "r1", {ONE: IMAGE})) == 1
    assert await store.write("", lambda db: write_files(db, "r2", {ONE: IMAGE})) == 1
    assert await kept(store) == [ONE]
    await store.write("", lambda db: delete_runs(db, ["r1"]))
    assert (await kept(store), await kept(store, "r2")) == ([], [ONE])


async def test_a_file_is_found_by_the_beginning_of_its_digest(store: Store) -> None:
    await store.write("", lambda db: write_files(db, "r1", {ONE: IMAGE, TWO: IMAGE}))
    found = await store.read(lambda db: read_file(db, "r1", ONE[:8]))
    assert found is not None
    assert (found[0].digest, found[0].media_type, found[1]) == (ONE, *IMAGE)
    for wrong in ("ab", "", "%", "cd"):
        assert await store.read(lambda db, it=wrong: read_file(db, "r1", it)) is None  # type: ignore[misc]


async def test_a_run_keeps_so_many_files_and_no_more(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_FILES", 1)
    assert await store.write("", lambda db: write_files(db, "r1", {ONE: IMAGE, TWO: IMAGE})) == 1
    monkeypatch.setattr(files, "MOST_FILES", 9)
    monkeypatch.setattr(files, "MOST_BYTES", 9)
    assert await store.write("", lambda db: write_files(db, "r1", {ONE: IMAGE, TWO: IMAGE})) == 1
    assert await kept(store) == [ONE]
