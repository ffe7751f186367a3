from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from services.agent.llm.chat import Completion, ToolSpec
from services.agent.loop.journal import StepKey
from services.agent.loop.snapshot import Snapshot
from services.agent.loop.tool_calls import WorkerSpec
from services.agent.runs.cancellation import CancelScopes, cancelled_end
from shared.contract.messages import Status
from shared.definitions.model import Definition
from shared.errors import RunCancelled
from shared.store import Store
from shared.store.runs.claim import freeze
from shared.store.runs.run import Run
from shared.store.runs.steps import Step, write_step
from tests.support.model.doubles import COST, calls, says
from tests.support.stores.steps import claimed, owned, request

SNAPSHOT = Snapshot(
    definition=Definition(name="alice"),
    workers=(WorkerSpec(name="bob", description=""),),
    tools=(ToolSpec(name="lookup", description="", parameters={}),),
)
NEVER_S = 600.0


async def turning(
    scopes: CancelScopes, run: Run, begun: asyncio.Event, left_s: float = NEVER_S
) -> None:
    async with scopes.open(run, left_s):
        begun.set()
        await asyncio.sleep(NEVER_S)


async def test_a_loop_that_is_cancelled_stops_at_once(store: Store) -> None:
    run, begun, scopes = await owned(store), asyncio.Event(), CancelScopes()
    loop = asyncio.create_task(turning(scopes, run, begun))
    await begun.wait()
    scopes.cancel("another")
    scopes.cancel(run.run_id)
    scopes.cancel(run.run_id)
    with pytest.raises(RunCancelled):
        await loop
    scopes.cancel(run.run_id)


async def test_a_loop_that_is_late_is_not_cancelled(store: Store) -> None:
    with pytest.raises(TimeoutError):
        await turning(CancelScopes(), await owned(store), asyncio.Event(), left_s=0.01)


async def test_a_cancel_that_reaches_no_loop_does_not_end_the_next(store: Store) -> None:
    run, scopes = await owned(store), CancelScopes()
    scopes.cancel(run.run_id)
    with pytest.raises(TimeoutError):
        await turning(scopes, run, asyncio.Event(), left_s=0.01)


async def test_a_hand_over_is_none_though_a_cancel_comes_too(store: Store) -> None:
    run, begun, scopes = await owned(store), asyncio.Event(), CancelScopes()
    loop = asyncio.create_task(turning(scopes, run, begun))
    await begun.wait()
    scopes.cancel(run.run_id)
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop


async def ran(store: Store, *steps: Step) -> Run:
    """A run of an agent with a worker and a tool, so far."""
    await store.write("", lambda db: freeze(db, SNAPSHOT.digest, SNAPSHOT.body))
    run = (await claimed(store, replace(request(), definition=SNAPSHOT.digest))).run
    assert run is not None
    for step in steps:
        await store.write(run.run_id, lambda db, step=step: write_step(db, run, step))  # type: ignore[misc]  # bound now
    return run


def turn(number: int, completion: Completion) -> Step:
    return Step(number, 0, "model", "turn", completion.model_dump_json())


def answer(number: int, position: int, kind: str, name: str) -> Step:
    return Step(number, position, kind, name, '{"content": "found"}')


async def test_each_open_call_gets_an_answer_and_each_worker_among_them_is_an_orphan(
    store: Store,
) -> None:
    asked = calls(("lookup", "{}"), ("bob", '{"prompt": "a"}'), ("lookup", "{}"), ("nobody", "{}"))
    run = await ran(
        store,
        turn(1, calls(("bob", '{"prompt": "earlier"}'))),
        answer(1, 1, "worker", "bob"),
        turn(2, asked),
        answer(2, 3, "tool", "lookup"),
    )
    ended = await cancelled_end(store, run)
    assert [(it.turn, it.position, it.kind, it.name) for it in ended.steps] == [
        (2, 1, "tool", "lookup"),
        (2, 2, "worker", "bob"),
    ]
    assert all(Status.CANCELLED in it.output for it in ended.steps)
    assert ended.orphans == (("bob", StepKey(2, 2).step_id(run.run_id, run.nonce)),)
    assert ended.outcome.usage == COST + COST


@pytest.mark.parametrize(
    "steps",
    [
        (),
        (turn(1, says("Done.")),),
        (turn(1, calls(("lookup", "{}"))), answer(1, 1, "tool", "lookup")),
    ],
    ids=["not begun", "no calls", "all answered"],
)
async def test_a_run_without_open_calls_leaves_nothing(
    store: Store, steps: tuple[Step, ...]
) -> None:
    ended = await cancelled_end(store, await ran(store, *steps))
    assert (ended.steps, ended.orphans) == ((), ())


async def test_a_run_of_another_version_ends_too(store: Store) -> None:
    run = await owned(store)
    await store.write(run.run_id, lambda db: write_step(db, run, turn(1, calls(("bob", "{}")))))
    ended = await cancelled_end(store, run)
    assert (ended.outcome.usage, ended.steps, ended.orphans) == (COST, (), ())
