"""A run whose row was damaged ends once, with the reason, in a process that goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Column, literal_column, update

from services.agent.instance import Instance
from shared.contract.messages import run_id
from shared.store import Store
from shared.store.queries.reports import Row
from shared.store.queries.texts import run_texts
from shared.store.runs.claim import claim, freeze
from shared.store.runs.run import Run
from shared.store.runs.steps import Step, write_step
from shared.store.schema import INTEGER_MAX, definitions, runs, steps
from tests.support.model.endpoint import Answer, Endpoint, completion
from tests.support.processes.instances import instance
from tests.support.processes.living import asked, lived
from tests.support.stores.damage import DAMAGED, TEXTS, damage, values
from tests.support.stores.steps import taken

EMPTY = Step(1, 0, "model", "turn", '{"content": "", "usage": {"model_calls": 1}}')
"""A reply after which the model is asked once more."""
FAULTS = [runs.c.message, runs.c.notes, runs.c.definition, steps.c.output, steps.c.kind]
"""Damaged, they leave nothing to go on with."""


async def begun(own: Instance, task_id: str) -> Run:
    """A run with one step, whose process has died."""
    asked_for = replace(asked(own), task_id=task_id, run_id=run_id(own.agent, task_id))
    await own.store.write("", lambda db: freeze(db, own.snapshot.digest, own.snapshot.body))
    run = (await own.store.write("", lambda db: claim(db, asked_for, own.id, slot=True))).run
    assert run is not None
    await own.store.write(run.run_id, lambda db: write_step(db, run, EMPTY))
    return run


async def resumed(own: Instance, endpoint: Endpoint, run: Run) -> tuple[Row, str] | None:
    """The run's end after a takeover, and the detail; None: no replica may take it."""
    for suspects in (False, True):
        if found := await taken(own.store, own.id, {own.id}, suspects=suspects):
            endpoint.reset().script = [Answer(completion(content="Done."))]
            row = await lived(own, endpoint, found[0])
            said = await own.store.read(lambda db: run_texts(db, run.run_id))
            return row, said.detail or ""
    return None


@pytest.mark.parametrize("column", DAMAGED, ids=str)
async def test_a_run_with_any_damaged_column_ends_once(
    store: Store, store_url: str, endpoint: Endpoint, column: Column[Any]
) -> None:
    own = instance(store)
    for number, value in enumerate(values(store_url, column)):
        if column is runs.c.attempts and value == str(INTEGER_MAX):
            continue  # given up, which waits for a broker
        run = await begun(own, f"t{number}")
        await damage(store, run.run_id, column, value)
        if ended := await resumed(own, endpoint, run):
            row, detail = ended
            assert row.ended_at is not None, value
            assert row.status in {"failed", "ok", "timeout"}, value
            assert "\n" not in detail
            assert await taken(store, own.id, {own.id}) == []
            assert await taken(store, own.id, {own.id}, suspects=True) == []


@pytest.mark.parametrize("column", FAULTS, ids=str)
async def test_a_run_whose_damaged_columns_are_needed_fails_with_the_reason(
    store: Store, endpoint: Endpoint, column: Column[Any]
) -> None:
    own = instance(store)
    run = await begun(own, "t1")
    await damage(store, run.run_id, column, "'garbage {'")
    ended = await resumed(own, endpoint, run)
    assert ended is not None
    row, detail = ended
    assert row.status == "failed"
    assert "can't be read" in detail or "is recorded as" in detail


@pytest.mark.parametrize("stored", TEXTS)
async def test_a_definition_that_cannot_be_read_fails_its_run(
    store: Store, endpoint: Endpoint, stored: str
) -> None:
    own = instance(store)
    run = await begun(own, "t1")
    bad = update(definitions).values(body=literal_column(f"'{stored}'"))
    await store.write("", lambda db: db.execute(bad))
    ended = await resumed(own, endpoint, run)
    assert ended is not None
    row, detail = ended
    assert row.status == "failed"
    assert detail.startswith("the stored definition can't be read")
