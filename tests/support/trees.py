"""Trees of runs in a real store, and what the gateway answers about them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx2

from shared.contract.call_ids import Call, call_id
from shared.contract.messages import Response, Status, Task, Usage, encode, response_id, run_id
from shared.store import Store
from shared.store.runs.claim import claim, freeze
from shared.store.runs.end import RunEnd, end
from shared.store.runs.run import Run
from shared.store.runs.steps import Step, write_step
from tests.support.stores.steps import a_moment_later, request

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
