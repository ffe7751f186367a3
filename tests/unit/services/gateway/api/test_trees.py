"""The API of trees and steps over HTTP, on a real store."""

from __future__ import annotations

import json

import httpx2
import pytest

from shared.contract.messages import Task
from shared.contract.prompts import QUOTED_RULE
from shared.store import Store
from shared.store.runs.steps import Step
from shared.store.runs.takeover import postpone
from tests.support.stores.steps import taken
from tests.support.trees import ASKED, BOBS, begun, got, stepped, tree


async def test_the_tree_has_the_bars_of_all_its_runs(
    store: Store, client: httpx2.AsyncClient
) -> None:
    top, bob = await tree(store)
    found = await got(client, f"/api/runs/{bob.run_id}/tree")
    assert found["steps_total"] == 3
    first, second = found["runs"]
    assert [it["kind"] for it in first["bars"]] == ["model", "tool", "worker"]
    worker = first["bars"][2]
    assert (worker["to"], worker["child_run_id"]) == (None, bob.run_id)
    assert worker["step"] == {"epoch": 1, "turn": 1, "position": 2}
    assert second["parent_run_id"] == top.run_id
    assert second["parent_step"] == {"turn": 1, "position": 2}
    assert [it["kind"] for it in second["bars"]] == ["model"]


async def test_later_only_runs_that_may_have_changed_are_sent(
    store: Store, client: httpx2.AsyncClient
) -> None:
    top, bob = await tree(store)
    path = f"/api/runs/{top.run_id}/tree"
    cursor = (await got(client, path))["cursor"]
    later = str(float(cursor) + 60)
    assert [it["run_id"] for it in (await got(client, path, after=later))["runs"]] == [top.run_id]
    again = await got(client, path, after=cursor)
    assert [it["run_id"] for it in again["runs"]] == [top.run_id, bob.run_id]


async def test_a_takeover_and_a_postponement_are_in_the_tree(
    store: Store, client: httpx2.AsyncClient
) -> None:
    await tree(store)
    (run,) = await taken(store, "alice.2", {"alice.1"})
    failing = "the model answered 503"
    await store.write(
        run.run_id, lambda db: postpone(db, run, failures=1, wait_s=60, detail=failing)
    )
    first, _ = (await got(client, "/api/runs/t1/tree"))["runs"]
    kinds = [it["kind"] for it in first["bars"]]
    assert ("dead" in kinds, "resumed" in kinds, kinds[-1]) == (True, True, "postponed")
    dead = next(it for it in first["bars"] if it["kind"] == "dead")
    assert (dead["instance"], dead["reason"]) == ("alice.1", "taken over by alice.2")
    view = await got(client, "/api/runs/t1")
    assert view["outcome"].endswith(f"({failing}): 1 model call, 1,000 tokens, $1.001.")


async def test_a_step_shows_what_was_asked_and_answered(
    store: Store, client: httpx2.AsyncClient
) -> None:
    top, _ = await tree(store)
    await stepped(
        store,
        top,
        Step(0, -1, "tool", "checks.py:cards", '{"outcome": "passed"}', 0.1),
        Step(0, 1, "tool", "find_tools", '{"content": "[]"}', 0.1),
        Step(1, 2, "worker", "bob", BOBS, 0.5),
        Step(2, 0, "model", "turn", '{"content": "Bob says so.", "model": "big"}', 0.5),
        Step(2, 1, "model", "check", '{"outcome": "passed", "usage": {"model_calls": 1}}', 0.5),
    )
    path = f"/api/runs/{top.run_id}/steps/1"
    tool = await got(client, f"{path}/1/1")
    assert (tool["input"], tool["output"]) == ({"id": 7}, {"content": "order 7"})
    assert tool["seconds"] == 0.1
    model = await got(client, f"{path}/1/0")
    assert (model["cost"], model["usage"]["input_tokens"]) == (1.0, 500)
    second = await got(client, f"{path}/2/0")
    system, user, said, *answers = second["input"]["messages"]
    assert system == {"role": "system", "content": f"Be brief.\n\n{QUOTED_RULE}"}
    assert user["content"].startswith("Why is order 7 late?\n\nIt is ")
    assert said["tool_calls"][0] == {"name": "lookup", "arguments": {"id": 7}}
    assert [it["content"] for it in answers] == ["order 7", "It is late."]
    assert second["input"]["tools"] == ["lookup", "bob"]
    check = await got(client, f"{path}/0/-1")
    assert (check["input"], check["output"]) == (None, {"outcome": "passed"})
    of_answer = await got(client, f"{path}/2/1")
    assert (of_answer["input"], of_answer["output"]["outcome"]) == (None, "passed")
    assert of_answer["usage"]["model_calls"] == 1
    prepared = await got(client, f"{path}/0/1")
    assert (prepared["input"], prepared["output"]) == (None, {"content": "[]"})
    missing = await client.get(f"{path}/9/0")
    assert missing.status_code == 404


async def test_long_texts_are_cut_unless_all_is_asked_for(
    store: Store, client: httpx2.AsyncClient
) -> None:
    run = await begun(store, Task(id="t1", content="Write."))
    assert run is not None
    reply = ASKED | {"tool_calls": ASKED["tool_calls"][:1]}  # type: ignore[index]  # a list
    long = json.dumps({"content": "x" * 300_000})
    for turn in (1, 2):
        calls = Step(turn, 0, "model", "turn", json.dumps(reply)), Step(turn, 1, "tool", "a", long)
        await stepped(store, run, *calls)
    await stepped(store, run, Step(3, 0, "model", "turn", '{"content": "Done."}'))
    tool = await got(client, "/api/runs/t1/steps/1/2/1")
    assert (len(tool["output"]), tool["output_truncated"]) == (256 * 1024, True)
    whole = await got(client, "/api/runs/t1/steps/1/2/1", full="1")
    assert len(whole["output"]["content"]) == 300_000
    model = await client.get("/api/runs/t1/steps/1/3/0")
    assert len(model.content) < 300_000
    assert model.json()["input_truncated"]
    everything = await got(client, "/api/runs/t1/steps/1/3/0", full="1")
    assert sum(len(it["content"] or "") for it in everything["input"]["messages"]) > 600_000


@pytest.mark.parametrize("path", ["1/-1/0", f"{2**40}/1/0", "1/1/-9", "1/x/0"])
async def test_a_place_that_no_step_has_is_refused(
    store: Store, client: httpx2.AsyncClient, path: str
) -> None:
    await begun(store, Task(id="t1", content="Write."))
    assert (await client.get(f"/api/runs/t1/steps/{path}")).status_code == 422
