"""A model that makes the same call turn after turn."""

from __future__ import annotations

import pytest

from services.agent.llm.chat import ToolResult, User
from services.agent.loop.calls import NOT_REPEATED
from services.agent.loop.journal import MemoryJournal
from services.agent.loop.loop import CONCLUDE
from services.agent.loop.repeats import MOST_ASKED
from shared.contract.messages import Status
from shared.definitions.functions import JsonObject
from tests.support.model.doubles import ScriptedModel, calls, says
from tests.support.model.loop import BOB, ScriptedLoop, scripted_loop, work

LOOKUP = calls(("lookup", '{"order": 1}'))
ENDLESS = [*[LOOKUP] * MOST_ASKED, says("All I know.")]


@pytest.mark.parametrize("call", [("lookup", "{}"), ("pay", '{"order": 1}'), ("bob", BOB)])
async def test_a_call_is_made_twice_in_a_row_and_then_answered(call: tuple[str, str]) -> None:
    it = scripted_loop(*[calls(call)] * 3, says("Done."))
    outcome = await it.run(work(tools=("lookup", "pay")))
    assert outcome.status is Status.OK
    assert it.results[-1] == NOT_REPEATED
    assert len(it.tools.log) + it.workers.log.count("bob: write") == 2


async def test_after_five_turns_with_the_same_call_the_run_concludes() -> None:
    it = scripted_loop(*ENDLESS)
    outcome = await it.run()
    assert (outcome.status, outcome.content) == (Status.PARTIAL, "All I know.")
    assert outcome.detail == "lookup was called with the same arguments 5 turns in a row"
    assert it.model.seen[-1][-1] == User(content=CONCLUDE)


async def test_the_order_and_spacing_of_arguments_makes_no_other_call() -> None:
    written = ('{"a": 1, "b": 2}', '{"b":2,"a":1}', '{ "a":1, "b":2 }')
    it = scripted_loop(*(calls(("lookup", text)) for text in written), says("Done."))
    await it.run()
    assert it.results[-1] == NOT_REPEATED


async def test_arguments_that_are_no_json_are_repeated_as_text() -> None:
    it = scripted_loop(*[calls(("lookup", "{"))] * MOST_ASKED, says("All I know."))
    assert (await it.run()).status is Status.PARTIAL


async def test_a_turn_without_the_call_ends_the_row() -> None:
    other = calls(("lookup", '{"order": 2}'))
    it = scripted_loop(LOOKUP, LOOKUP, other, LOOKUP, LOOKUP, says("Done."))
    assert (await it.run()).status is Status.OK
    assert NOT_REPEATED not in it.results


async def test_the_other_calls_of_the_turn_are_made() -> None:
    both = (calls(("lookup", "{}"), ("lookup", f'{{"order": {n}}}')) for n in (1, 2, 3))
    it = scripted_loop(*both, says("Done."))
    await it.run()
    assert it.results[-2:] == [NOT_REPEATED, "found 3"]


def counting() -> ScriptedLoop:
    """A loop whose tools answer differently at each call."""
    it = scripted_loop(*[calls(("lookup", "{}"), ("pay", "{}"))] * 4, says("Done."))

    def count(_: JsonObject) -> str:
        return f"call {len(it.tools.log)}"

    it.tools.tools = {"lookup": count, "pay": count}
    return it


async def test_a_repeatable_tool_may_be_polled_while_its_answers_differ() -> None:
    it = counting()
    await it.run(work(tools=("lookup", "pay")))
    made = [name for name, _ in it.tools.log]
    assert (made.count("lookup"), made.count("pay")) == (4, 2)


@pytest.mark.parametrize("finished", range(len(ENDLESS)))
async def test_a_resumed_run_repeats_no_more_than_an_uninterrupted_one(finished: int) -> None:
    whole = scripted_loop(*ENDLESS)
    expected = await whole.run()
    kept = {key: step for key, step in whole.journal.steps.items() if key.turn <= finished}
    resumed = ScriptedLoop(ScriptedModel(*ENDLESS[finished:]), journal=MemoryJournal(kept))
    assert await resumed.run() == expected
    shown = [it for it in whole.model.seen[-1] if isinstance(it, ToolResult)]
    assert [it for it in resumed.model.seen[-1] if isinstance(it, ToolResult)] == shown
