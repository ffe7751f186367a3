"""A row that can't be read affects neither its neighbours nor the process that reads it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, update

from shared.contract.messages import Status
from shared.contract.rows import response_of
from shared.errors import DamagedRow
from shared.store import Store
from shared.store.messages import notes
from shared.store.queries.history import finished_work
from shared.store.queries.reports import RunFilter, family, find, loads, newest
from shared.store.queries.texts import run_texts
from shared.store.runs import cancels
from shared.store.runs.claim import ClaimResult
from shared.store.runs.steps import Step, resumed, write_step
from shared.store.schema import notes as notes_table
from shared.store.schema import runs
from tests.support.stores.damage import DAMAGED, TEXTS, damage, values
from tests.support.stores.sessions import asking, begun, claim_of, over, present
from tests.support.stores.steps import claimed, ended, owned, request, seen, taken

STEP = Step(1, 0, "model", "turn", '{"content": "found"}')
each_column = pytest.mark.parametrize("column", DAMAGED, ids=str)


async def read(store: Store, run_id: str) -> None:
    """All that a person can ask for."""
    await store.read(lambda db: run_texts(db, run_id))
    assert await store.read(lambda db: find(db, run_id))
    assert await store.read(lambda db: newest(db, RunFilter(agent="alice"), 100))
    await store.read(lambda db: family(db, "t1"))
    await store.read(loads)
    await seen(store)


@each_column
async def test_a_damaged_run_stops_no_neighbour_and_is_not_taken_again(
    store: Store, store_url: str, column: Column[Any]
) -> None:
    await present(store, "alice.2")
    for number, value in enumerate(values(store_url, column)):
        bad, good = request(f"bad{number}"), request(f"good{number}")
        run = await owned(store, bad.task_id)
        await store.write(run.run_id, lambda db, run=run: write_step(db, run, STEP))  # type: ignore[misc]  # bound now
        await claimed(store, good, slot=False)
        await damage(store, bad.run_id, column, value)
        await read(store, bad.run_id)
        found = {run.run_id: run for run in await taken(store, dead={"alice.1"})}
        found |= {it.run_id: it for it in await taken(store, dead={"alice.1"}, suspects=True)}
        assert good.run_id in found, value
        assert await taken(store, dead={"alice.1"}) == [], value
        for taken_run in found.values():
            await store.read(lambda db, run=taken_run: resumed(db, run))  # type: ignore[misc]  # bound now
            await ended(store, taken_run, instance="alice.2")
        assert await store.write("", lambda db: cancels.take_endable(db, "alice", "alice.3")) == []


@each_column
async def test_a_damaged_run_that_has_ended_is_left_out_of_other_runs_prompts(
    store: Store, store_url: str, column: Column[Any]
) -> None:
    for number, value in enumerate(values(store_url, column)):
        bad, good = f"bad{number}", f"good{number}"
        run = await begun(store, bad, f"s{number}")
        await store.write(run.run_id, lambda db, run=run: write_step(db, run, STEP))  # type: ignore[misc]  # bound now
        await over(store, run)
        await over(store, await begun(store, good, f"s{number}"))
        await damage(store, run.run_id, column, value)
        await read(store, run.run_id)
        await store.read(lambda db: finished_work(db, "alice"))
        next_one = await begun(store, f"next{number}", f"s{number}")
        assert (f"task {good}", f"answer {good}") in next_one.recalled, value
        await over(store, next_one)


@pytest.mark.parametrize("stored", TEXTS)
async def test_an_exchange_that_cannot_be_read_is_not_recalled(store: Store, stored: str) -> None:
    for task_id in ("t1", "t2"):
        await over(store, await begun(store, task_id))
    await damage(store, asking("t1").run_id, runs.c.response, f"'{stored}'")
    assert (await begun(store, "t3")).recalled == (("task t2", "answer t2"),)


@pytest.mark.parametrize("column", [runs.c.notes, runs.c.recalled], ids=str)
async def test_the_damaged_column_is_named(store: Store, column: Column[Any]) -> None:
    await claim_of(store, "t1", slot=False)
    await damage(store, asking("t1").run_id, column, "'garbage {'")
    (run,) = await taken(store)
    assert run.damage.startswith(f"what is stored can't be read: {column.key}: not JSON")
    assert (run.task_id, run.notes, run.recalled) == ("t1", (), ())


async def test_a_run_whose_definition_is_gone_is_taken_as_damaged(
    store: Store, store_url: str
) -> None:
    if store_url.startswith("postgresql"):
        return  # it refuses to delete a row that a run refers to
    await claimed(store, request(), slot=False)
    await damage(store, request().run_id, runs.c.definition, "'gone'")
    (run,) = await taken(store)
    assert "definition" in run.damage


@pytest.mark.parametrize("stored", [*TEXTS, None])
async def test_a_repeated_task_whose_response_cannot_be_read_is_answered_with_that_reason(
    store: Store, stored: str | None
) -> None:
    await ended(store, await owned(store))
    value = "NULL" if stored is None else f"'{stored}'"
    await damage(store, request().run_id, runs.c.response, value)
    claim = await claimed(store, request())
    assert claim.result is ClaimResult.ANSWERED
    (answer,) = claim.outbound
    response = response_of(answer.body)
    assert (response.task_id, response.status) == ("t1", Status.FAILED)
    assert response.id == answer.message_id


@pytest.mark.parametrize("stored", ["garbage {", "[" * 100_000])
async def test_a_note_that_cannot_be_read_is_left_out(store: Store, stored: str) -> None:
    for message_id in ("m1", "m2"):
        await store.write("", lambda db, it=message_id: notes.remember(db, "alice", it, "tom", it))  # type: ignore[misc]  # bound now
    bad = update(notes_table).where(notes_table.c.message_id == "m1").values(body=stored)
    await store.write("", lambda db: db.execute(bad))
    run = (await claimed(store, request(with_notes=True))).run
    assert run is not None
    assert run.notes == ("From tom: m2",)


async def test_a_response_that_an_earlier_version_took_is_named_with_its_field() -> None:
    stored = '{"task_id": "t", "agent": "bob", "status": "ok", "content": "", "hops": 1e9}'
    with pytest.raises(DamagedRow, match=r"^the stored response can't be read: hops: .*1000$"):
        response_of(stored)
