"""The API of approvals over HTTP, on a real store."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from shared.contract.approvals import ApprovalState
from shared.contract.messages import Task
from shared.store import Store
from shared.store.processes import audit
from shared.store.processes.api_keys import Scope
from tests.support.guarded import bearer, make_key
from tests.support.stores.approvals import call, decided, parked, run_of, worker_of
from tests.support.stores.steps import a_moment_later


async def got(client: httpx2.AsyncClient, path: str, **query: str) -> Any:
    found = await client.get(path, params=query)
    assert found.status_code == 200, found.text
    return found.json()


async def listed(client: httpx2.AsyncClient, **query: str) -> list[str]:
    return [it["name"] for it in (await got(client, "/api/approvals", **query))["approvals"]]


async def test_pending_calls_are_listed_newest_first_page_by_page(
    store: Store, client: httpx2.AsyncClient
) -> None:
    for number in range(5):
        run = await run_of(store, Task(id=f"t{number}", content="Pay."))
        await parked(store, run, call(f"pay{number}"))
        await a_moment_later(store)
    first = await got(client, "/api/approvals", limit="2")
    assert [it["name"] for it in first["approvals"]] == ["pay4", "pay3"]
    assert first["total"] == 5
    rest = await got(client, "/api/approvals", limit="3", before=first["next"])
    assert [it["name"] for it in rest["approvals"]] == ["pay2", "pay1", "pay0"]
    assert rest["next"] is None


async def test_a_request_says_what_is_asked_and_on_whose_behalf(
    store: Store, client: httpx2.AsyncClient
) -> None:
    alice = await run_of(store, Task(id="t1", content="Refund order 17."))
    bob = await worker_of(store, alice)
    (asked,) = await parked(store, bob)
    found = await got(client, f"/api/approvals/{asked.approval_id}")
    assert found["arguments"] == {"amount": 249}
    assert (found["agent"], found["path"], found["kind"]) == ("bob", ["alice", "bob"], "tool")
    assert (found["state"], found["decided_by"], found["note"]) == ("pending", None, None)
    assert found["expires_at"] > found["asked_at"]


async def test_requests_are_found_by_agent_run_tree_and_state(
    store: Store, client: httpx2.AsyncClient
) -> None:
    alice = await run_of(store, Task(id="t1", content="Refund order 17."))
    bob = await worker_of(store, alice)
    await parked(store, bob, call("refund"))
    await parked(store, alice, call("mail", 2))
    other = await run_of(store, Task(id="t2", content="Pay."))
    (paid,) = await parked(store, other, call("pay"))
    await decided(store, paid)
    assert await listed(client, agent="bob") == ["refund"]
    assert await listed(client, run=alice.run_id) == ["mail"]
    assert sorted(await listed(client, tree=bob.run_id)) == ["mail", "refund"]
    assert await listed(client, state="approved") == ["pay"]
    assert (await client.get("/api/approvals", params={"tree": "f" * 32})).status_code == 404


@pytest.mark.parametrize(("word", "state"), [("approve", "approved"), ("deny", "denied")])
async def test_a_decision_counts_once_and_is_kept_with_who_and_why(
    word: str, state: str, store: Store, client: httpx2.AsyncClient
) -> None:
    run = await run_of(store, Task(id="t1", content="Pay."))
    (asked,) = await parked(store, run)
    path = f"/api/approvals/{asked.approval_id}"
    sent = {"decision": word, "note": "He has called."}
    first, again = [await client.post(path, json=sent) for _ in range(2)]
    assert first.status_code == 200, first.text
    assert first.json() == again.json() == await got(client, path)
    assert first.json()["state"] == state
    assert (first.json()["decided_by"], first.json()["note"]) == (
        "a client without a key",
        "He has called.",
    )
    other = "deny" if word == "approve" else "approve"
    refused = await client.post(path, json={"decision": other})
    assert refused.status_code == 409
    assert refused.json()["detail"] == f"the call was already {state} by a client without a key"
    recorded = await store.read(lambda db: audit.newest(db, 10))
    first_of = recorded[-1]
    assert (first_of.action, first_of.subject) == (
        f"approval.{word}",
        f"alice/{asked.approval_id}",
    )
    shown = await got(client, f"/api/runs/{run.run_id}")
    assert shown["status"] == "due"
    assert [it["state"] for it in shown["approvals"]] == [state]


async def test_a_call_that_is_no_longer_wanted_is_not_decided(
    store: Store, client: httpx2.AsyncClient
) -> None:
    run = await run_of(store, Task(id="t1", content="Pay."))
    (asked,) = await parked(store, run)
    await decided(store, asked, ApprovalState.EXPIRED)
    path = f"/api/approvals/{asked.approval_id}"
    late = await client.post(path, json={"decision": "approve"})
    assert (late.status_code, late.json()["detail"]) == (
        409,
        "the request has expired, so the call is denied",
    )
    unknown = await client.post("/api/approvals/0none", json={"decision": "deny"})
    assert unknown.status_code == 404


async def test_a_run_and_its_tree_show_what_waits_below(
    store: Store, client: httpx2.AsyncClient
) -> None:
    alice = await run_of(store, Task(id="t1", content="Refund order 17."))
    bob = await worker_of(store, alice)
    await parked(store, bob)
    top, below = [await got(client, f"/api/runs/{it.run_id}") for it in (alice, bob)]
    assert [it["name"] for it in top["approvals"]] == ["refund"]
    assert below["status"] == "parked"
    assert below["outcome"].startswith("Waiting for the approval of refund of bob, for ")
    tree = await got(client, f"/api/runs/{alice.run_id}/tree")
    assert [it["run_id"] for it in tree["approvals"]] == [bob.run_id]
    bars = [it for run in tree["runs"] for it in run["bars"] if it["kind"] == "approval"]
    assert [(it["name"], it["to"]) for it in bars] == [("refund", None)]


async def test_a_key_decides_only_with_the_scope_and_for_its_agents(
    store: Store, client: httpx2.AsyncClient
) -> None:
    alice = await run_of(store, Task(id="t1", content="Refund order 17."))
    (asked,) = await parked(store, await worker_of(store, alice))
    path = f"/api/approvals/{asked.approval_id}"
    runner = bearer(await make_key(store, "runner", Scope.RUN))
    stranger = bearer(await make_key(store, "stranger", Scope.OPERATE, "alice"))
    boss = bearer(await make_key(store, "boss", Scope.OPERATE, "bob"))
    approve = {"decision": "approve"}
    assert (await client.post(path, json=approve, headers=runner)).status_code == 403
    assert (await client.post(path, json=approve, headers=stranger)).status_code == 404
    hidden = await client.get("/api/approvals", headers=stranger)
    assert (hidden.json()["approvals"], hidden.json()["total"]) == ([], 0)
    done = await client.post(path, json=approve, headers=boss)
    assert (done.status_code, done.json()["decided_by"]) == (200, "boss")
