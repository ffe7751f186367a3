"""`hutch show` and `hutch runs` with whole and with damaged rows."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, update

from services.agent.loop.window.history import Cut
from shared.contract.messages import Response, Status, encode
from shared.store import open_store
from shared.store.database.dialect import insert_new
from shared.store.messages.ticks import TickOutcome
from shared.store.processes import heartbeats
from shared.store.runs.claim import freeze
from shared.store.runs.end import RunEnd, end
from shared.store.runs.steps import Step, write_step
from shared.store.runs.takeover import hand_over
from shared.store.schema import runs, steps, ticks
from tests.support.command_line import hutch
from tests.support.stores.damage import DAMAGED, damage, values
from tests.support.stores.fixtures import on_both_stores as pytest_generate_tests
from tests.support.stores.sessions import asking, begun
from tests.support.stores.steps import DEFINITION, claimed, request, taken

__all__ = ["pytest_generate_tests"]

CALLING = '{"content": null, "tool_calls": [{"name": "look", "arguments": "{}"}]}'
STEP = Step(1, 0, "model", "turn", CALLING)


@pytest.fixture
def run_id(store_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A run that has called a tool and ended, in the store that commands use."""
    monkeypatch.setenv("HUTCH_STORE", store_url)
    monkeypatch.setenv("HUTCH_AGENTS", str(tmp_path))
    return asyncio.run(_ended(store_url))


async def _ended(url: str) -> str:
    async with open_store(url) as store:
        await store.write("", lambda db: freeze(db, DEFINITION, "{}"))
        run = await begun(store, "t1")
        await store.write(run.run_id, lambda db: write_step(db, run, STEP))
        response = Response(task_id="t1", agent="alice", status=Status.OK, content="Found.")
        ending = RunEnd("ok", "m1", encode(response).decode(), "a detail")
        await store.write(run.run_id, lambda db: end(db, run, ending, "alice.1"))
        return run.run_id


def damaged(url: str, run: str, column: Column[Any], value: str) -> None:
    async def write() -> None:
        async with open_store(url) as store:
            await damage(store, run, column, value)

    asyncio.run(write())


def test_a_run_is_shown_with_all_its_texts(run_id: str) -> None:
    shown = hutch("show", run_id)
    assert shown.exit_code == 0
    for said in ("task t1", "turn 1: model", "calls look", "response: ok", "Found.", "a detail"):
        assert said in shown.stdout
    assert "damaged" not in shown.stdout


def test_a_shortening_is_shown_with_its_summary_before_its_turns_model_call(
    store_url: str, run_id: str
) -> None:
    output = Cut(content="All was found.", left_out=3).model_dump_json()

    async def write() -> None:
        row = {"run_id": run_id, "epoch": 1, "turn": 1, "position": -3}
        said = {"kind": "model", "name": "shorten", "output": output}
        async with open_store(store_url) as store:
            await store.write("", lambda db: insert_new(db, steps, row | said, stamp="finished_at"))

    asyncio.run(write())
    shown = hutch("show", run_id).stdout
    assert "turn 1: model shorten\nAll was found.\n\nturn 1: model\n" in shown


@pytest.mark.parametrize("column", DAMAGED, ids=str)
def test_a_run_with_any_damaged_column_is_shown_and_listed(
    store_url: str, run_id: str, column: Column[Any]
) -> None:
    for value in values(store_url, column):
        damaged(store_url, run_id, column, value)
        for command in (("show", run_id), ("show", run_id, "--json"), ("runs",)):
            shown = hutch(*command)
            assert (shown.exit_code, shown.stderr) == (0, ""), (command, value)
            assert shown.stdout


@pytest.mark.parametrize(
    ("column", "said", "rest"),
    [
        (runs.c.message, "the stored message can't be read: not JSON", "Found."),
        (runs.c.response, "the stored response can't be read: not JSON", "calls look"),
        (runs.c.notes, "what is stored can't be read: notes: not JSON", "Found."),
        (runs.c.recalled, "what is stored can't be read: recalled: not JSON", "Found."),
        (steps.c.output, "the stored output can't be read: not JSON", "Found."),
    ],
    ids=str,
)
def test_a_text_that_cannot_be_read_is_shown_as_damaged_with_the_rest_of_its_run(
    store_url: str, run_id: str, column: Column[Any], said: str, rest: str
) -> None:
    damaged(store_url, run_id, column, "'garbage {'")
    shown = hutch("show", run_id).stdout
    assert f"damaged: {said}" in shown
    assert rest in shown


def test_a_time_that_cannot_be_read_is_listed_as_damaged(store_url: str, run_id: str) -> None:
    damaged(store_url, run_id, runs.c.claimed_at, "1e300")
    assert "ok, damaged" in hutch("runs").stdout
    assert "damaged: what is stored can't be read: claimed_at" in hutch("show", run_id).stdout


def test_the_data_of_an_answer_is_shown_on_lines_of_its_own(store_url: str, run_id: str) -> None:
    found = Response(task_id="t1", agent="alice", status=Status.OK, content="", data={"total": 3.5})
    damaged(store_url, run_id, runs.c.response, f"'{encode(found).decode()}'")
    assert '{\n  "total": 3.5\n}' in hutch("show", run_id).stdout
    assert '\\"data\\":{\\"total\\":3.5}' in hutch("show", run_id, "--json").stdout


async def _ticked(url: str, message_id: str | None, outcome: TickOutcome) -> None:
    fields = {"agent": "alice", "schedule": "plan", "nominal_at": 0.0, "outcome": outcome}
    row = fields | {"tick_id": "alice.plan@now", "message_id": message_id}
    async with open_store(url) as store:
        await store.write("", lambda db: insert_new(db, ticks, row, stamp="decided_at"))


def test_the_id_of_a_tick_shows_its_run(run_id: str, store_url: str) -> None:
    asyncio.run(_ticked(store_url, "t1", TickOutcome.SENT))
    shown = hutch("show", "alice.plan@now")
    assert (shown.exit_code, shown.stdout.split(" of ")[0]) == (0, f"run {run_id}")


def test_a_tick_that_was_not_sent_is_shown_with_the_reason(run_id: str, store_url: str) -> None:
    asyncio.run(_ticked(store_url, None, TickOutcome.SKIPPED))
    shown = hutch("show", "alice.plan@now")
    assert shown.stdout == "not sent: the tick before it had not ended\n"
    waited = hutch("wait", "alice.plan@now")
    assert (waited.exit_code, waited.stderr) == (1, f"hutch: {shown.stdout}")


def test_the_id_of_a_message_to_several_agents_shows_all_their_runs(
    run_id: str, store_url: str
) -> None:
    async def claim_by_bob() -> None:
        async with open_store(store_url) as store:
            await claimed(store, asking("t1", agent="bob"))

    asyncio.run(claim_by_bob())
    shown = json.loads(hutch("show", "t1", "--json").stdout)
    assert [it["run"]["agent"] for it in shown] == ["alice", "bob"]
    assert json.loads(hutch("show", run_id, "--json").stdout)["run"]["agent"] == "alice"


def test_the_response_of_an_ended_run_is_awaited_by_its_task(run_id: str) -> None:
    waited = hutch("wait", "t1")
    assert (waited.exit_code, waited.stdout) == (0, "Found.\n")


def _began(url: str, beats: int) -> None:
    """A run whose process has died twice and now stands still, or has left nothing of itself."""

    async def begin() -> None:
        async with open_store(url) as store:
            await begun(store, "t2", session="s2")
            await store.write("", lambda db: db.execute(update(runs).values(attempts=2)))
            for _ in range(beats):
                await store.write("", lambda db: heartbeats.record(db, "alice.1", "alice"))

    asyncio.run(begin())


@pytest.mark.parametrize("beats", [0, 1])
def test_a_run_whose_process_has_died_is_shown_as_such(
    store_url: str, run_id: str, beats: int
) -> None:
    _began(store_url, beats)
    shown = hutch("show", "t2").stdout
    assert "; running; its process has died, another takes it over\n" in shown
    assert "\n2 processes have died on it since its last finished step\n" in shown


def test_a_run_is_shown_with_what_its_processes_did(store_url: str, run_id: str) -> None:
    async def taken_over() -> str:
        async with open_store(store_url) as store:
            run = (await claimed(store, request("t2"))).run
            assert run is not None
            (again,) = await taken(store, "alice.2", {"alice.1"})
            await store.write(again.run_id, lambda db: hand_over(db, again))
            return run.run_id

    run = asyncio.run(taken_over())
    shown = hutch("show", run).stdout
    assert "taken over by alice.2; alice.1 had died\n" in shown
    assert shown.count("handed over by alice.2") == 1
    marks = json.loads(hutch("show", run, "--json").stdout)["marks"]
    assert [it["kind"] for it in marks] == ["taken_over", "handed_over"]
