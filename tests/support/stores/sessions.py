"""Steps shared by the tests of sessions: a task in one, its turn, its answer."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from shared.contract.messages import Response, Status, Task, encode, response_id, run_id
from shared.store import Store
from shared.store.messages.outbox import Outbound
from shared.store.processes import heartbeats
from shared.store.runs.claim import Claim, Request
from shared.store.runs.end import RunEnd, end
from shared.store.runs.run import Run
from tests.support.stores.steps import claimed, request


def asking(task_id: str, session: str = "s1", *, said: str = "", agent: str = "alice") -> Request:
    message = Task(id=task_id, content=said or f"task {task_id}", session=session)
    return replace(
        request(task_id),
        run_id=run_id(agent, task_id),
        agent=agent,
        message=encode(message).decode(),
        session=session,
        takes_turns=True,
    )


async def claim_of(store: Store, task_id: str, session: str = "s1", *, slot: bool = True) -> Claim:
    return await claimed(store, asking(task_id, session), slot=slot)


async def begun(store: Store, task_id: str, session: str = "s1") -> Run:
    run = (await claim_of(store, task_id, session)).run
    assert run is not None, "it waits for its turn"
    return run


async def over(
    store: Store, run: Run, said: str = "", status: Status = Status.OK, instance: str = "alice.1"
) -> tuple[Outbound, ...]:
    response = Response(
        task_id=run.task_id, agent=run.agent, status=status, content=said or f"answer {run.task_id}"
    )
    ending = RunEnd(status, response_id(run.run_id), encode(response).decode())
    return await store.write(run.run_id, partial(end, run=run, ending=ending, instance=instance))


async def present(store: Store, *instances: str) -> None:
    for name in instances:
        await store.write(
            "", partial(heartbeats.record, instance=name, agent=name.partition(".")[0])
        )
