from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from shared.store import Store
from shared.store.queries.reports import (
    Heartbeat,
    Load,
    Row,
    family,
    find,
    heartbeats,
    loads,
    newest,
    texts,
)
from shared.store.runs.steps import Step, write_step
from shared.store.runs.takeover import postpone
from tests.support.stores.steps import a_moment_later, claimed, ended, owned, request


async def ids(store: Store, key: str) -> list[str]:
    return [row.task_id for row in await store.read(lambda db: find(db, key))]


async def listed(store: Store, status: str | None = None, limit: int = 10) -> Sequence[Row]:
    return await store.read(lambda db: newest(db, "alice", status, limit))


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
    assert await store.read(lambda db: newest(db, "bob", None, 10)) == []


async def test_a_run_is_listed_by_its_state_and_then_by_how_it_ended(store: Store) -> None:
    run = await owned(store)
    assert [row.status for row in await listed(store, "running")] == ["running"]
    await ended(store, run)
    assert await listed(store, "running") == []
    (row,) = await listed(store, "ok")
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
    found = await store.read(lambda db: texts(db, run.run_id))
    assert (found.message, found.notes, found.response) == ('{"content": "hello"}', (), None)
    assert [(it.turn, it.kind, it.output) for it in found.steps] == [(1, "model", step.output)]
    await ended(store, run, '"done"')
    assert (await store.read(lambda db: texts(db, run.run_id))).response == '"done"'
