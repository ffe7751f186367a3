"""The figures of the last hour, also from a large store and from one with damaged rows."""

from __future__ import annotations

import time
from functools import partial
from statistics import median, quantiles

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection

from shared.contract.messages import Usage
from shared.store import Store
from shared.store.queries.condition import known_agents
from shared.store.queries.minutes import Minutes, current_minute, minutes
from shared.store.queries.stuck import OwnedRuns, late_runs, owned_runs
from shared.store.runs.steps import Step, write_step
from shared.store.schema import now_s, runs, steps
from tests.support.report import summary
from tests.support.stores.steps import DEFINITION, claimed, ended, owned
from tests.support.stores.steps import request as asked

USAGE = Usage(model_calls=1, input_tokens=10, output_tokens=2, cached_tokens=4)
REPLY = f'{{"content":"\\u0000 Hi","usage":{USAGE.model_dump_json()},"model":"gpt"}}'


async def since(store: Store, first: int) -> Minutes:
    return await store.read(partial(minutes, agents={"alice"}, first=first))


async def test_runs_and_model_calls_are_counted_in_the_minute_in_which_they_ended(
    store: Store,
) -> None:
    first = await store.read(current_minute)
    run = await owned(store)
    damaged = '{"content": "cut'
    odd = '{"usage":{"model_calls":0,"cost":0.5}}'
    outputs = [("model", REPLY), ("model", REPLY), ("tool", REPLY), ("model", damaged)]
    for turn, (kind, output) in enumerate([*outputs, ("model", odd)]):
        step = Step(turn, 0, kind, "m", output)
        await store.write(run.run_id, partial(write_step, run=run, step=step))
    await ended(store, run)
    other = await owned(store, "t2")
    await ended(store, other)
    await store.write(
        "",
        lambda db: db.execute(update(runs).where(runs.c.task_id == "t2").values(status="failed")),
    )
    found = await since(store, first)
    assert sum(it.ended for it in found.runs) == 2
    assert sum(it.failed for it in found.runs) == 1
    assert {it.minute for it in found.runs} <= {first, first + 1}
    used = sum((it.usage for it in found.calls), Usage())
    assert {it.model for it in found.calls} == {"gpt", ""}
    assert used == USAGE + USAGE + Usage(cost=0.5), "without the damaged reply"
    assert sum(it.costed for it in found.calls) == 1
    assert all(it.definition for it in found.calls)
    later = await since(store, first + 2)
    assert (later.runs, later.calls) == ([], [])


async def test_runs_that_make_no_progress_are_counted_by_agent_and_owner(store: Store) -> None:
    await owned(store, "t1")
    await claimed(store, asked("t2"), slot=False)
    assert await store.read(late_runs) == {}
    assert await store.read(owned_runs) == [OwnedRuns("alice", "alice.1", 1)]
    earlier = update(runs).where(runs.c.task_id == "t2").values(due_at=now_s() - 61)
    await store.write("", lambda db: db.execute(earlier))
    assert await store.read(late_runs) == {"alice": 1}


RUNS = 100_000


def fill(connection: Connection) -> None:
    """A hundred thousand ended runs of a week, some hundred of them from the last hour."""
    now = connection.execute(select(now_s())).scalar_one()
    for start in range(0, RUNS, 2_000):
        ids = range(start, start + 2_000)
        at = {number: now - number * 7 * 86400 / RUNS for number in ids}
        rows = [
            {
                "run_id": f"{number:032}",
                "agent": f"agent-{number % 10}",
                "task_id": f"t{number}",
                "kind": "task",
                "content_hash": "h",
                "message": '{"content": "Hello"}',
                "definition": DEFINITION,
                "notes": "[]",
                "root_id": f"t{number}",
                "deadline_at": at[number],
                "state": "ended",
                "due_at": at[number],
                "fence": 1,
                "attempts": 0,
                "epoch": 1,
                "claimed_at": at[number],
                "ended_at": at[number],
                "status": "ok",
                "response": "{}",
            }
            for number in ids
        ]
        connection.execute(insert(runs), rows)
        done = [
            {
                "run_id": f"{number:032}",
                "epoch": 1,
                "turn": turn,
                "position": 0,
                "kind": "model",
                "name": "gpt",
                "output": REPLY,
                "finished_at": at[number],
            }
            for number in ids
            for turn in (1, 2)
        ]
        connection.execute(insert(steps), done)


@pytest.mark.long
async def test_the_hour_is_read_quickly_from_a_hundred_thousand_runs(
    store: Store, request: pytest.FixtureRequest, store_url: str
) -> None:
    await store.write("", fill)
    agents = await store.read(known_agents)
    took = []
    cpu = time.process_time()
    for _ in range(20):
        began = time.perf_counter()
        hour = await store.read(current_minute) - 59
        found = await store.read(partial(minutes, agents=agents, first=hour))
        took.append(time.perf_counter() - began)
    assert 500 < sum(it.ended for it in found.runs) < 700
    assert sum(it.usage.model_calls for it in found.calls) == 2 * sum(it.ended for it in found.runs)
    p95 = quantiles(took, n=20)[-1]
    cpu_ms = (time.process_time() - cpu) / len(took) * 1000
    kind = store_url.partition(":")[0]
    figures = f"median {median(took) * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms, CPU {cpu_ms:.0f} ms"
    summary(request.config)[f"last hour of {RUNS} runs, {kind}"] = figures
    assert median(took) < 1.0
