"""Calls that take longer than the run's deadline allows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from services.agent.loop.calls import NO_RESERVE_S, TOO_LATE, reserve_s
from services.agent.loop.journal import MemoryJournal, StepKey
from services.agent.loop.work import Work
from shared.contract.messages import Status
from shared.definitions.functions import JsonObject
from tests.support.model.doubles import ScriptedModel, ScriptedWorkers, calls, says
from tests.support.model.loop import BOB, ScriptedLoop, work

CAROL = '{"prompt": "check"}'
LEFT_S = 11.0


@pytest.mark.parametrize(
    ("left_s", "reserve"),
    [(9.9, 0.0), (10.0, 5.0), (50.0, 5.0), (300.0, 30.0), (600.0, 60.0), (86_400.0, 60.0)],
)
def test_the_reserve_is_a_tenth_within_bounds(left_s: float, reserve: float) -> None:
    assert reserve_s(left_s) == pytest.approx(reserve)


@dataclass
class HangingTools:
    """Tools that never answer, except `pay` if it is given an answer."""

    paid: asyncio.Event = field(default_factory=asyncio.Event)
    ended: list[str] = field(default_factory=list)

    async def call(self, key: StepKey, name: str, arguments: JsonObject) -> str:
        try:
            await (self.paid if name == "pay" else asyncio.Event()).wait()
        finally:
            self.ended.append(name)
        return "paid"


def clock(*times: float) -> Callable[[], float]:
    """A clock that shows these times, and then the last one for ever."""
    rest = list(times)
    return lambda: rest.pop(0) if len(rest) > 1 else rest[0]


def hanging(*workers: str) -> ScriptedWorkers:
    return ScriptedWorkers(gates={name: asyncio.Event() for name in workers})


def with_workers(workers: ScriptedWorkers, left_s: Callable[[], float]) -> ScriptedLoop:
    model = ScriptedModel(calls(("bob", BOB), ("carol", CAROL)), says("Bob says so."))
    return ScriptedLoop(model, workers=workers, left_s=left_s)


async def test_a_manager_whose_worker_hangs_concludes_with_the_answers_that_came() -> None:
    it = with_workers(hanging("carol"), clock(LEFT_S, 4.0))
    outcome = await it.run()
    assert (outcome.status, outcome.content) == (Status.PARTIAL, "Bob says so.")
    assert outcome.detail == "no answer from carol before the deadline"
    assert it.results == ["bob on write", f"carol: {TOO_LATE}"]
    assert it.workers.reserves == {StepKey(1, 1): 5.0, StepKey(1, 2): 5.0}


async def test_a_run_that_gave_a_worker_up_concludes_when_it_is_resumed() -> None:
    whole = with_workers(hanging("carol"), clock(LEFT_S, 4.0))
    expected = await whole.run()
    kept = {key: step for key, step in whole.journal.steps.items() if key.turn == 1}
    resumed = ScriptedLoop(ScriptedModel(says("Bob says so.")), journal=MemoryJournal(kept))
    assert await resumed.run() == expected


async def test_a_worker_that_ends_at_the_deadline_that_it_was_given_is_too_late() -> None:
    late = ScriptedWorkers({"carol": Status.TIMEOUT})
    it = with_workers(late, clock(LEFT_S, 10.0, 10.0, 5.2))
    outcome = await it.run()
    assert outcome.detail == "no answer from carol before the deadline"
    assert outcome.usage.model_calls == 4, "both workers' own calls count"


async def test_a_workers_own_limit_is_an_answer_like_any_other() -> None:
    late = ScriptedWorkers({"carol": Status.TIMEOUT})
    it = with_workers(late, clock(600.0))
    assert (await it.run()).status is Status.OK
    assert it.results[1].startswith("carol did not answer: timeout")


async def test_no_model_call_is_made_about_a_timeout_at_the_runs_own_deadline() -> None:
    late = ScriptedWorkers({"carol": Status.TIMEOUT})
    it = with_workers(late, clock(NO_RESERVE_S / 2, 0.1))
    with pytest.raises(TimeoutError):
        await it.run()
    assert len(it.model.seen) == 1


async def run_tool(name: str, tools: HangingTools, it: Work) -> tuple[ScriptedLoop, Status]:
    journal = MemoryJournal()
    loop = ScriptedLoop(ScriptedModel(calls((name, "{}")), says("Done.")), journal=journal)
    loop.tools = tools  # type: ignore[assignment]  # another implementation of `Tools`
    loop.left_s = clock(LEFT_S, 5.0)
    async with asyncio.timeout(0.2):
        outcome = await loop.run(it)
    return loop, outcome.status


async def test_a_repeatable_tool_that_hangs_is_given_up_in_time() -> None:
    tools = HangingTools()
    loop, status = await run_tool("lookup", tools, work())
    assert (status, tools.ended) == (Status.PARTIAL, ["lookup"])
    assert loop.results == [f"lookup: {TOO_LATE}"]


async def test_a_tool_that_must_not_run_twice_is_never_given_up() -> None:
    tools = HangingTools()
    with pytest.raises(TimeoutError):
        await run_tool("pay", tools, work(tools=("pay",)))
    assert tools.ended == ["pay"], "the deadline has ended it"


async def test_the_answer_of_a_tool_that_must_not_run_twice_is_used_in_the_reserve() -> None:
    tools = HangingTools()
    tools.paid.set()
    loop, status = await run_tool("pay", tools, work(tools=("pay",)))
    assert (status, loop.results) == (Status.OK, ["paid"])
