from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event, text, update
from sqlalchemy.engine import Connection

from shared.store import Store
from shared.store.queries.reports import (
    TEXT_CHARS,
    Heartbeat,
    Load,
    Row,
    RunFilter,
    family,
    find,
    heartbeats,
    loads,
    newest,
)
from shared.store.queries.texts import run_texts
from shared.store.runs.steps import Step, write_step
from shared.store.runs.takeover import postpone
from shared.store.schema import runs
from tests.support.stores.steps import a_moment_later, claimed, ended, owned, request

ALICES = RunFilter(agent="alice")
RUNNING = RunFilter(statuses=["running"])
YEAR_AGO = datetime.now(UTC) - timedelta(days=365)


async def ids(store: Store, key: str) -> list[str]:
    return [row.task_id for row in await store.read(lambda db: find(db, key))]


async def listed(store: Store, wanted: RunFilter = ALICES, limit: int = 10) -> Sequence[Row]:
    return await store.read(lambda db: newest(db, wanted, limit))


async def names(store: Store, wanted: RunFilter, limit: int = 10) -> list[str]:
    return [row.task_id for row in await listed(store, wanted, limit)]


async def test_the_load_counts_open_runs_by_state_and_unsent_messages(store: Store) -> None:
    await claimed(store, request("t1"), slot=False)
    await owned(store, "t2")
    await ended(store, await owned(store, "t3"))
    assert await store.read(loads) == {"alice": Load(due=1, running=1, unsent=1)}


async def test_a_run_that_waits_after_a_failure_is_counted_as_postponed_too(store: Store) -> None:
    run = await owned(store)
    later = partial(postpone, run=run, failures=1, wait_s=60, detail="503")
    await store.write("", later)
    assert await store.read(loads) == {"alice": Load(due=1, postponed=1)}


async def test_every_instance_is_listed_with_its_heartbeat(store: Store) -> None:
    assert await store.read(heartbeats) == [Heartbeat("alice.1", "alice", 1)]


async def test_the_newest_run_comes_first_up_to_the_limit(store: Store) -> None:
    for task_id in ("t1", "t2", "t3"):
        await owned(store, task_id)
        await a_moment_later(store)
    assert [row.task_id for row in await listed(store, limit=2)] == ["t3", "t2"]
    assert await listed(store, RunFilter(agent="bob")) == []


async def test_a_task_id_means_its_own_run_even_if_another_run_id_begins_so(store: Store) -> None:
    other = await owned(store, "t1")
    beginning = other.run_id[:2]
    await owned(store, beginning)
    assert await ids(store, beginning) == [beginning]
    assert await ids(store, other.run_id[:3]) == ["t1"]


async def test_each_page_continues_where_the_one_before_has_ended(store: Store) -> None:
    """Also where several runs have been claimed at one time."""
    for task_id in ("t1", "t2", "t3", "t4", "t5"):
        await owned(store, task_id)
    await store.write("", lambda db: db.execute(update(runs).values(claimed_at=1e9 + 0.1)))
    whole = [row.run_id for row in await listed(store)]
    pages: list[str] = []
    while page := await listed(store, RunFilter(before=pages[-1] if pages else None), limit=2):
        pages += [row.run_id for row in page]
    assert pages == whole
    assert len(set(whole)) == 5


async def test_runs_are_chosen_by_kind_session_and_time(store: Store) -> None:
    await owned(store, "t1")
    await claimed(store, replace(request("t2"), kind="tick"))
    await claimed(store, replace(request("t3"), session="s1"))
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    assert await names(store, RunFilter(kinds=["tick", "trigger"])) == ["t2"]
    assert await names(store, RunFilter(session="s1")) == ["t3"]
    assert len(await names(store, RunFilter(since=now - hour, until=now + hour))) == 3
    assert await names(store, RunFilter(since=now + hour)) == []
    assert await names(store, RunFilter(until=now - hour)) == []


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ('{"content": "What is new?"}', "What is new?"),
        (f'{{"id": "t1", "content": "{"ä" * 10_000}"}}', "ä" * TEXT_CHARS + "…"),
        ('{"content": null}', ""),
        ("garbage {", ""),
    ],
)
async def test_a_run_is_listed_with_the_beginning_of_its_text(
    store: Store, message: str, text: str
) -> None:
    await claimed(store, replace(request(), message=message))
    assert [(row.text, row.damage) for row in await listed(store)] == [(text, "")]


@pytest.mark.parametrize("wanted", [RunFilter(), RunFilter(before="f" * 32, since=YEAR_AGO)])
async def test_a_list_of_runs_reads_an_index_and_sorts_nothing(
    store: Store, wanted: RunFilter
) -> None:
    """So the newest page of 100,000 runs costs no more than that of twenty."""
    await owned(store)

    def plan(connection: Connection) -> str:
        seen: list[tuple[str, Any]] = []
        event.listen(
            connection, "before_cursor_execute", lambda *call: seen.append((call[2], call[3]))
        )
        newest(connection, wanted, 20)
        statement, parameters = seen[0]
        explain = "EXPLAIN QUERY PLAN"
        if connection.dialect.name == "postgresql":
            explain = "EXPLAIN"
            for method in ("seqscan", "sort"):  # a table of one row is read whole
                connection.execute(text(f"SET enable_{method} = off"))
        lines = connection.exec_driver_sql(f"{explain} {statement}", parameters)
        return "\n".join(str(line[-1]) for line in lines)

    found = (await store.read(plan)).lower()
    assert "runs_claimed" in found
    assert "sort" not in found
    assert "b-tree" not in found


async def test_a_run_is_listed_by_its_state_and_then_by_how_it_ended(store: Store) -> None:
    run = await owned(store)
    assert [row.status for row in await listed(store, RUNNING)] == ["running"]
    await ended(store, run)
    assert await listed(store, RUNNING) == []
    (row,) = await listed(store, RunFilter(statuses=["ok", "failed"]))
    assert row.ended_at is not None
    assert abs(datetime.now(UTC) - row.claimed_at) < timedelta(minutes=1)


async def test_a_run_is_found_by_its_id_its_beginning_and_its_tasks_id(store: Store) -> None:
    run = await owned(store, "t_1")
    await owned(store, "t2")
    for key in (run.run_id, run.run_id[:10], "t_1"):
        assert await ids(store, key) == ["t_1"]


@pytest.mark.parametrize("key", ["%", "_", "t%", "nothing"])
async def test_wildcards_match_no_run(store: Store, key: str) -> None:
    await owned(store)
    assert await ids(store, key) == []


async def test_a_family_is_all_that_one_message_has_caused(store: Store) -> None:
    await owned(store, "root")
    await a_moment_later(store)
    child = replace(request("child"), root_id="root", parent_id="root")
    await claimed(store, child)
    await owned(store, "stranger")
    rows = await store.read(lambda db: family(db, "root"))
    assert [(row.task_id, row.parent_id) for row in rows] == [("root", None), ("child", "root")]


async def test_texts_are_a_runs_messages_and_answers(store: Store) -> None:
    run = await owned(store)
    step = Step(1, 0, "model", "turn", '{"content": "größe"}')
    await store.write(run.run_id, lambda db: write_step(db, run, step))
    found = await store.read(lambda db: run_texts(db, run.run_id))
    assert (found.message, found.notes, found.response) == ('{"content": "hello"}', (), None)
    assert [(it.turn, it.kind, it.output) for it in found.steps] == [(1, "model", step.output)]
    await ended(store, run, '"done"')
    assert (await store.read(lambda db: run_texts(db, run.run_id))).response == '"done"'
