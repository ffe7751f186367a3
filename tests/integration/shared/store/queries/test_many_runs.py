"""Lists, filters and searches of 100,000 runs: what they find, and how long they take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import quantiles

import pytest
from sqlalchemy.engine import Connection

from shared.contract.messages import run_id
from shared.store import Store
from shared.store.queries.reports import Row, RunFilter, newest
from shared.store.queries.search import window, with_id
from tests.support.report import summary
from tests.support.stores.many import NEEDLE, fill

pytestmark = pytest.mark.long

MANY = 100_000
ROUNDS = 20
PAGE = 50
MOST_LIST_S = 3.0
"""Many times what a list takes, as the machine can be busy."""
MOST_SEARCH_S = 10.0

LISTS = {
    "newest": RunFilter(),
    "of an agent": RunFilter(agent="bob"),
    "of a key's agents": RunFilter(agents=["bob", "carol"]),
    "failed": RunFilter(statuses=["failed"]),
    "running, of which there are none": RunFilter(statuses=["running"]),
    "of a session": RunFilter(session="session-5"),
}


@pytest.fixture
async def many(store: Store) -> Store:
    await store.write("", lambda db: fill(db, MANY))
    return store


async def timed(
    store: Store, read: Callable[[Connection], Sequence[Row]]
) -> tuple[Sequence[Row], float, float]:
    """What was read, and the median and 95th percentile of the seconds that it took."""
    lasted = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        found = await store.read(read)
        lasted.append(time.perf_counter() - began)
    shares = quantiles(lasted, n=20)
    return found, shares[9], shares[18]


async def test_lists_and_searches_stay_fast(
    many: Store, empty_url: str, request: pytest.FixtureRequest
) -> None:
    figures = summary(request.config)
    kind = empty_url.partition(":")[0]
    for name, wanted in LISTS.items():
        found, median, p95 = await timed(many, lambda db, it=wanted: newest(db, it, PAGE))  # type: ignore[misc]  # bound now
        figures[f"{kind}, {MANY:,} runs, {name}"] = (
            f"{len(found)} runs in {median * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms"
        )
        assert found or "none" in name
        assert median < MOST_LIST_S, name
    for text, number in {NEEDLE: 1, "köln": PAGE, "no run has this": 0}.items():
        began = time.perf_counter()
        found, windows = await searched(many, text)
        lasted = time.perf_counter() - began
        figures[f"{kind}, {MANY:,} runs, search for '{text}'"] = (
            f"{len(found)} runs in {lasted * 1000:.0f} ms, {windows} windows"
        )
        assert len(found) == number, text
        assert lasted < MOST_SEARCH_S, text


async def searched(store: Store, text: str) -> tuple[Sequence[Row], int]:
    """The first page of a search without a time limit, and its windows."""
    wanted, found, windows = RunFilter(), list[Row](), 0
    while True:
        windows += 1
        seen = await store.read(lambda db: window(db, wanted, text, PAGE))  # noqa: B023 - read now
        found += seen.found
        if len(found) >= PAGE or seen.before is None:
            return found[:PAGE], windows
        wanted = replace(wanted, before=seen.before, before_at=seen.before_at)


async def test_a_run_of_long_ago_is_found_by_its_id_at_once(many: Store) -> None:
    old = run_id("alice", "task-0")
    for text in (old, old[:12], "task-0"):
        (found,) = await many.read(lambda db, it=text: with_id(db, RunFilter(), it))  # type: ignore[misc]  # bound now
        assert found.run_id == old


async def test_the_pages_of_a_filtered_list_have_every_run_once(many: Store) -> None:
    wanted, seen = RunFilter(statuses=["failed"]), list[str]()
    while page := await many.read(lambda db: newest(db, wanted, 7)):  # noqa: B023 - read now
        seen += [row.task_id for row in page]
        wanted = replace(wanted, before=page[-1].run_id)
    assert seen == [f"task-{it}" for it in range(99_007, 0, -1000)]
