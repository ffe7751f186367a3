"""`hutch show` and `hutch runs`: what steps, runs and trees cost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.client.costs import Cost
from shared.contract.messages import Usage
from shared.store import Store, open_store
from shared.store.runs.claim import claim, freeze
from shared.store.runs.steps import Step, write_step
from tests.support.command_line import hutch
from tests.support.stores.fixtures import on_both_stores as pytest_generate_tests
from tests.support.stores.steps import DEFINITION, request

__all__ = ["pytest_generate_tests"]

PRICES = '{"big": {"input": 1000, "output": 1000}, "small": {"input": 1, "output": 1}}'
USED = Usage(model_calls=1, input_tokens=500, output_tokens=500)


def reply(model: str | None, usage: Usage = USED) -> str:
    fields = {"content": "Said.", "usage": usage.model_dump()}
    return json.dumps(fields if model is None else fields | {"model": model})


async def run_with(store: Store, task_id: str, parent: str | None, *replies: str) -> str:
    asked = request(task_id, requester=None)
    fields = vars(asked) | {"root_id": "t1", "parent_id": parent}
    it = type(asked)(**fields)
    run = (await store.write(it.key, lambda db: claim(db, it, "alice.1", slot=True))).run
    assert run is not None
    for turn, output in enumerate(replies, 1):
        step = Step(turn, 0, "model", "turn", output)
        await store.write(run.run_id, lambda db, step=step: write_step(db, run, step))  # type: ignore[misc]  # a lambda's default
    return run.run_id


@pytest.fixture
def place(store_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The address of a store, with prices of two models."""
    monkeypatch.setenv("HUTCH_STORE", store_url)
    monkeypatch.setenv("HUTCH_AGENTS", str(tmp_path))
    monkeypatch.setenv("HUTCH_PRICES", PRICES)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_MODEL", raising=False)
    return store_url


@pytest.fixture
def top(place: str) -> str:
    """A run of two calls with known prices, its worker, and that one's worker, which is damaged."""
    return asyncio.run(_made(place))


@asynccontextmanager
async def _store(url: str) -> AsyncIterator[Store]:
    definition = '{"definition": {"name": "alice", "model": {"name": "small"}}}'
    async with open_store(url) as store:
        await store.write("", lambda db: freeze(db, DEFINITION, definition))
        yield store


async def _made(url: str) -> str:
    async with _store(url) as store:
        nothing = reply(None, Usage())  # such as a history that was shortened without a model
        top = await run_with(store, "t1", None, reply("big"), reply(None), nothing)
        await run_with(store, "t2", "t1", reply("big", USED.model_copy(update={"cost": 0.25})))
        await run_with(store, "t3", "t2", reply("scripted"), "garbage {")
        return top


async def _unpriced(url: str) -> None:
    async with _store(url) as store:
        await run_with(store, "t1", None, reply("scripted"), "garbage {")


def printed(*arguments: str) -> Any:
    done = hutch(*arguments, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_each_step_and_run_and_the_whole_tree_are_shown_with_their_costs(top: str) -> None:
    shown = hutch("show", top).stdout
    assert "turn 1: model, 1 USD" in shown
    assert "turn 2: model, 0.001 USD" in shown, "the price of the agent's own model"
    assert "cost: 1.001 USD\n" in shown
    assert (
        "caused: 1.251+? USD; incomplete, as no price is known for a damaged row, scripted" in shown
    )


def test_the_same_costs_are_printed_as_json(top: str) -> None:
    cost = printed("show", top)["cost"]
    assert [it["usd"] for it in cost["steps"]] == [1.0, 0.001, 0.0]
    assert cost["runs"][top] == {"usd": 1.001, "unpriced": []}
    assert cost["in_all"] == {"usd": 1.251, "unpriced": ["a damaged row", "scripted"]}


def test_runs_are_listed_with_their_own_cost_and_that_of_all_they_caused(top: str) -> None:
    listed = {it["task_id"]: it for it in printed("runs")}
    assert {key: it["cost"]["usd"] for key, it in listed.items()} == {
        "t1": 1.001,
        "t2": 0.25,
        "t3": 0.0,
    }
    assert listed["t1"]["cost_in_all"]["usd"] == 1.251
    shown = hutch("runs")
    head, *lines = shown.stdout.splitlines()
    assert head.split()[-7:] == ["USD", "USD", "in", "all", "task", "id", "text"]
    assert any(line.split()[-4:] == ["1.001", "1.251+?", "t1", "hello"] for line in lines)
    assert "+?: the price of a model is not known" in shown.stderr


def test_no_cost_is_shown_where_no_call_has_a_price(place: str) -> None:
    """Such as the calls of the scripted model."""
    asyncio.run(_unpriced(place))
    shown = hutch("show", "t1").stdout
    assert "cost" not in shown
    listed = hutch("runs")
    assert ("hello" in listed.stdout, "USD" in listed.stdout) == (True, False)
    assert "?" not in shown + listed.output


@pytest.mark.parametrize(
    ("cost", "cell"),
    [
        (Cost(), ""),
        (Cost(2.0), "2"),
        (Cost(0.0000012), "0.000001"),
        (Cost(100.0), "100"),
        (Cost(0.0, frozenset({"scripted"})), ""),
        (Cost(0.5, frozenset({"scripted"})), "0.5+?"),
    ],
)
def test_what_is_not_known_is_a_question_mark(cost: Cost, cell: str) -> None:
    assert cost.cell == cell
