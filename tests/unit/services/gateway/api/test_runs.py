"""The API of runs over HTTP, on a real store."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from shared.contract.call_ids import Call, call_id
from shared.contract.messages import Response, Status, Task, Usage, encode, response_id, run_id
from shared.contract.prompts import QUOTED_RULE
from shared.store import Store
from shared.store.processes.api_keys import Scope
from shared.store.runs.claim import claim, freeze
from shared.store.runs.end import RunEnd, end
from shared.store.runs.files import write_files
from shared.store.runs.run import Run
from shared.store.runs.steps import Step, write_step
from shared.store.runs.takeover import postpone
from tests.support.guarded import bearer, make_key
from tests.support.stores.steps import a_moment_later, request, taken

SNAPSHOT = {
    "definition": {"name": "alice", "preamble": "Be brief.", "model": {"name": "big"}},
    "workers": [{"name": "bob", "description": ""}],
    "tools": [{"name": "lookup", "description": "", "parameters": {}}],
}
USED = Usage(model_calls=1, input_tokens=500, output_tokens=500)
ASKED = {
    "content": None,
    "tool_calls": [
        {"name": "lookup", "arguments": '{"id": 7}'},
        {"name": "bob", "arguments": '{"prompt": "Sum it up."}'},
    ],
    "usage": USED.model_dump(),
    "model": "big",
}
BOBS_REPLY = (
    '{"content": "It is late.", "model": "big", "usage": {"model_calls": 1, "input_tokens": 1}}'
)
FOUND, BOBS = '{"content": "order 7"}', '{"content": "It is late."}'


async def begun(store: Store, task: Task, agent: str = "alice", *, slot: bool = True) -> Run | None:
    await store.write("", lambda db: freeze(db, "s" * 32, json.dumps(SNAPSHOT)))
    asked = replace(
        request(task.id or ""),
        run_id=run_id(agent, task.id or ""),
        agent=agent,
        message=encode(task).decode(),
        root_id=task.root_id or task.id or "",
        parent_id=task.parent_id,
        session=task.session,
        definition="s" * 32,
    )
    await a_moment_later(store)
    return (await store.write(asked.key, lambda db: claim(db, asked, f"{agent}.1", slot=slot))).run


async def stepped(store: Store, run: Run, *steps: Step) -> None:
    for step in steps:
        await a_moment_later(store)
        await store.write(run.run_id, lambda db, step=step: write_step(db, run, step))  # type: ignore[misc]  # bound now


async def over(store: Store, run: Run, said: str = "It is late.", status: str = "ok") -> None:
    response = Response(
        id=response_id(run.run_id),
        task_id=run.task_id,
        agent=run.agent,
        status=Status(status),
        content=said,
        usage=USED,
        model="big",
    )
    ending = RunEnd(status, response_id(run.run_id), encode(response).decode())
    await a_moment_later(store)
    await store.write(run.run_id, lambda db: end(db, run, ending, "alice.1"))


async def tree(store: Store) -> tuple[Run, Run]:
    """Alice has asked Bob, who has answered; she has still to answer."""
    top = await begun(store, Task(id="t1", content="Why is order 7 late?"))
    assert top is not None
    await stepped(
        store,
        top,
        Step(1, 0, "model", "turn", json.dumps(ASKED), 0.2),
        Step(1, 1, "tool", "lookup", FOUND, 0.1),
    )
    call = call_id(Call(top.run_id, 1, 2), top.nonce)
    below = Task(id=call, content="Sum it up.", root_id="t1", parent_id="t1", path=("alice",))
    bob = await begun(store, below, "bob")
    assert bob is not None
    await stepped(store, bob, Step(1, 0, "model", "turn", BOBS_REPLY, 0.1))
    await over(store, bob)
    return top, bob


async def got(client: httpx2.AsyncClient, path: str, **query: str | list[str]) -> Any:
    found = await client.get(path, params=query)
    assert found.status_code == 200, found.text
    return found.json()


async def ids(client: httpx2.AsyncClient, **query: str | list[str]) -> list[str]:
    return [it["task_id"] for it in (await got(client, "/api/runs", **query))["runs"]]


async def test_runs_are_listed_newest_first_page_by_page(
    store: Store, client: httpx2.AsyncClient
) -> None:
    for number in range(5):
        await begun(store, Task(id=f"t{number}", content="Write."))
    first = await got(client, "/api/runs", limit="2")
    assert [it["task_id"] for it in first["runs"]] == ["t4", "t3"]
    assert first["runs"][0]["text"] == "Write."
    rest = await got(client, "/api/runs", limit="3", before=first["next"])
    assert [it["task_id"] for it in rest["runs"]] == ["t2", "t1", "t0"]
    assert rest["next"] is None


async def test_runs_are_chosen_by_agent_session_status_and_kind(
    store: Store, client: httpx2.AsyncClient
) -> None:
    done = await begun(store, Task(id="t1", content="Write.", session="s1"))
    assert done is not None
    await over(store, done)
    await begun(store, Task(id="t2", content="Write."), "bob")
    assert await ids(client, agent="bob") == ["t2"]
    assert await ids(client, session="s1") == ["t1"]
    assert await ids(client, status="running") == ["t2"]
    assert await ids(client, status=["ok", "failed"]) == ["t1"]
    assert await ids(client, kind="tick") == []
    assert await ids(client, since="2100-01-01T00:00:00Z") == []
    refused = await client.get("/api/runs", params={"status": "odd"})
    assert refused.status_code == 422
    assert "Input should be 'ok', 'partial'" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("KÖLN", ["t2", "t1"]),
        ('"quoted"', ["t1"]),
        ("100 %", ["t1"]),
        ("line\nbreak", ["t1"]),
        ("an answer", ["t2"]),
        ("chat-7", ["t2"]),
        ("t1", ["t1"]),
        ("content", []),
        ("_", []),
    ],
)
async def test_runs_are_found_by_texts_sessions_and_ids(
    store: Store, client: httpx2.AsyncClient, q: str, found: list[str]
) -> None:
    said = 'From köln: "quoted", 100 %, a line\nbreak'
    await begun(store, Task(id="t1", content=said))
    run = await begun(store, Task(id="t2", content="Köln", session="chat-7"))
    assert run is not None
    await over(store, run, "An answer.")
    assert await ids(client, q=q) == found


async def test_a_run_is_found_by_the_beginning_of_its_id_first(
    store: Store, client: httpx2.AsyncClient
) -> None:
    first = await begun(store, Task(id="t1", content="Write."))
    assert first is not None
    await begun(store, Task(id="t2", content=f"As run {first.run_id[:10]}."))
    assert await ids(client, q=first.run_id[:10]) == ["t1", "t2"]


async def test_an_open_run_says_what_it_does(store: Store, client: httpx2.AsyncClient) -> None:
    top, bob = await tree(store)
    found = await got(client, f"/api/runs/{top.run_id[:8]}")
    assert found["outcome"].startswith("Running for ")
    assert found["outcome"].endswith(" at alice: 1 model call, 1,000 tokens, $1.001.")
    assert found["message"] == {"content": "Why is order 7 late?", "context": None}
    assert (found["owner"], found["response"]) == ("alice.1", None)
    worker = await got(client, f"/api/runs/{bob.run_id}")
    assert (worker["parent_run_id"], worker["root_run_id"]) == (top.run_id, top.run_id)


async def test_an_ended_run_says_in_one_sentence_how(
    store: Store, client: httpx2.AsyncClient
) -> None:
    top, _ = await tree(store)
    await over(store, top)
    found = await got(client, "/api/runs/t1")
    assert found["outcome"].startswith("Answered after 0.")
    assert found["outcome"].endswith(
        " s by alice with 1 worker: 1 model call, 1,000 tokens, $1.001."
    )
    assert found["response"] == {"content": "It is late.", "data": None, "model": "big"}
    assert found["cost"] == 1.001


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


async def test_a_key_for_one_agent_sees_only_that_agents_runs(
    store: Store, client: httpx2.AsyncClient
) -> None:
    top, bob = await tree(store)
    client.headers.update(bearer(await make_key(store, "bobs", Scope.RUN, "bob")))
    assert [it["agent"] for it in (await got(client, "/api/runs"))["runs"]] == ["bob"]
    assert (await client.get("/api/runs", params={"agent": "alice"})).status_code == 403
    assert (await client.get(f"/api/runs/{top.run_id}")).status_code == 403
    runs = (await got(client, f"/api/runs/{bob.run_id}/tree"))["runs"]
    assert [it["agent"] for it in runs] == ["bob"]


@pytest.mark.parametrize(
    "query",
    [
        {"q": "\0"},
        {"q": "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")},
        {"since": "0001-01-01T00:00:00+14:00"},
        {"before": f"{'0' * 32}.{'9' * 12}.000000"},
        {"session": "\0"},
        {"agent": "Alice"},
        {"kind": "odd"},
    ],
)
async def test_odd_filters_are_refused_or_find_nothing(
    store: Store, client: httpx2.AsyncClient, query: dict[str, str]
) -> None:
    await begun(store, Task(id="t1", content="Write."))
    assert (await client.get("/api/runs", params=query)).status_code in {200, 422}


@pytest.mark.parametrize("path", ["1/-1/0", f"{2**40}/1/0", "1/1/-9", "1/x/0"])
async def test_a_place_that_no_step_has_is_refused(
    store: Store, client: httpx2.AsyncClient, path: str
) -> None:
    await begun(store, Task(id="t1", content="Write."))
    assert (await client.get(f"/api/runs/t1/steps/{path}")).status_code == 422


@pytest.mark.parametrize("key", ["nothing", "%", "0" * 32])
async def test_an_unknown_id_is_not_found(client: httpx2.AsyncClient, key: str) -> None:
    found = await client.get(f"/api/runs/{key}")
    assert (found.status_code, found.headers["content-type"]) == (404, "application/problem+json")


async def test_a_file_of_a_run_is_returned_to_be_saved(
    store: Store, client: httpx2.AsyncClient
) -> None:
    run = await begun(store, Task(id="t1", content="Draw."))
    assert run is not None
    digest = "ab" * 32
    files = {digest: ("image/png", b"<script>")}
    await store.write("", lambda db: write_files(db, run.run_id, files))
    found = await client.get(f"/api/runs/t1/files/{digest[:16]}")
    assert found.content == b"<script>"
    assert found.headers["content-type"] == "application/octet-stream"
    assert found.headers["content-disposition"] == f'attachment; filename="{digest[:16]}.png"'
    assert (await client.get("/api/runs/t1/files/cdcdcdcd")).status_code == 404
    assert (await client.get("/api/runs/t1/files/ab")).status_code == 422
