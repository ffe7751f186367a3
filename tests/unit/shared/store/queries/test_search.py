"""Searches of texts: windows, their cursors, and rows that can't be read."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import delete

from shared.store import Store
from shared.store.queries.reports import RunFilter
from shared.store.queries.search import Window, window, with_id
from shared.store.schema import runs
from tests.support.stores.damage import damage
from tests.support.stores.steps import a_moment_later, claimed, request

NONE: list[str] = []


async def said(store: Store, *texts: str) -> None:
    """Tasks t0, t1, … with these texts, each claimed after the one before."""
    for number, text in enumerate(texts):
        await claimed(store, replace(request(f"t{number}"), message=f'{{"content": "{text}"}}'))
        await a_moment_later(store)


async def windows(store: Store, text: str, size: int, limit: int = 10) -> list[list[str]]:
    """What each window has found."""
    found, wanted = [], RunFilter()
    while True:
        seen = await store.read(lambda db: window(db, wanted, text, limit, size=size))  # noqa: B023 - read now
        found.append([row.task_id for row in seen.found])
        if seen.before is None:
            return found
        wanted = replace(wanted, before=seen.before, before_at=seen.before_at)


async def test_windows_cover_every_run_once_from_the_newest_back(store: Store) -> None:
    await said(store, *["late"] * 5)
    assert await windows(store, "late", size=2) == [["t4", "t3"], ["t2", "t1"], ["t0"]]
    assert await windows(store, "late", size=5) == [["t4", "t3", "t2", "t1", "t0"], NONE]
    assert await windows(store, "late", size=9, limit=2) == [["t4", "t3"], ["t2", "t1"], ["t0"]]
    assert await windows(store, "early", size=2) == [NONE, NONE, NONE]


async def test_the_names_of_fields_are_no_texts(store: Store) -> None:
    await said(store, "a", "the content", "b", "c")
    assert await windows(store, "content", size=9, limit=1) == [NONE, ["t1"], NONE]


async def test_a_cursor_outlives_its_run(store: Store) -> None:
    await said(store, "late", "late", "late")
    first: Window = await store.read(lambda db: window(db, RunFilter(), "late", 10, size=2))
    await store.write("", lambda db: db.execute(delete(runs).where(runs.c.run_id == first.before)))
    wanted = RunFilter(before=first.before, before_at=first.before_at)
    seen = await store.read(lambda db: window(db, wanted, "late", 10, size=2))
    assert [row.task_id for row in seen.found] == ["t0"]
    assert first.searched_to is not None
    assert seen.searched_to is None


async def test_a_search_keeps_the_filters(store: Store) -> None:
    await said(store, "late")
    for wanted in (RunFilter(agent="bob"), RunFilter(agents=["bob"]), RunFilter(statuses=["ok"])):
        assert (await store.read(lambda db, it=wanted: window(db, it, "late", 10))).found == []  # type: ignore[misc]  # bound now
        assert await store.read(lambda db, it=wanted: with_id(db, it, "t0")) == []  # type: ignore[misc]  # bound now


async def test_a_text_that_cannot_be_read_is_searched_as_it_is_stored(store: Store) -> None:
    await said(store, "x")
    await damage(store, request("t0").run_id, runs.c.message, "'garbage {'")
    assert await windows(store, "GARBAGE", size=9) == [["t0"]]
