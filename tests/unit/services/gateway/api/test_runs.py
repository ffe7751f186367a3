"""The API of runs over HTTP, on a real store."""

from __future__ import annotations

import httpx2
import pytest

from shared.contract.messages import Task
from shared.store import Store
from shared.store.messages.sent import record
from shared.store.processes.api_keys import Scope
from shared.store.runs.files import write_files
from tests.support.guarded import bearer, make_key
from tests.support.trees import begun, got, ids, over, tree


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


async def test_a_key_for_one_agent_sees_only_that_agents_runs(
    store: Store, client: httpx2.AsyncClient
) -> None:
    top, bob = await tree(store)
    client.headers.update(bearer(await make_key(store, "bobs", Scope.RUN, "bob")))
    assert [it["agent"] for it in (await got(client, "/api/runs"))["runs"]] == ["bob"]
    assert (await client.get("/api/runs", params={"agent": "alice"})).status_code == 403
    assert (await client.get(f"/api/runs/{top.run_id}")).status_code == 404
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


async def test_the_id_of_a_task_that_is_only_sent_means_no_other_run(
    store: Store, client: httpx2.AsyncClient
) -> None:
    run = await begun(store, Task(id="t1", content="Write."))
    assert run is not None
    ticket = run.run_id[:4]
    assert (await got(client, f"/api/runs/{ticket}"))["run_id"] == run.run_id
    await store.write("", lambda db: record(db, ticket, "bob"))
    assert (await client.get(f"/api/runs/{ticket}")).status_code == 404


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
