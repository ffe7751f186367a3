"""The calls that a run makes before its first turn."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from services.agent.loop.journal import MemoryJournal, StepKey
from services.agent.loop.work import Work
from shared.contract.messages import Status
from shared.contract.prompts import quoted
from shared.definitions.functions import JsonObject
from shared.definitions.knowledge import Knowledge
from shared.errors import RunLost
from tests.support.model.doubles import calls, says
from tests.support.model.loop import CLOCK, DyingJournal, ScriptedLoop, scripted_loop, work

CALL = calls(("lookup", "{}"))
NAMES = ("find_tools", "search_knowledge", "lookup", "pay", "ship")


def listed(*names: str) -> str:
    return json.dumps([{"name": name} for name in names])


def with_knowledge(*, in_prompt: bool) -> Work:
    it = work(tools=NAMES)
    knowledge = Knowledge(paths=("docs",), in_prompt=in_prompt)
    definition = it.definition.model_copy(update={"knowledge": knowledge})
    return it.model_copy(update={"definition": definition})


def given(it: ScriptedLoop, **answers: Callable[[JsonObject], str]) -> ScriptedLoop:
    it.tools.tools |= answers
    return it


def refusing(_: JsonObject) -> str:
    raise ValueError("not now")


@pytest.mark.essential
async def test_a_run_is_offered_the_tools_that_were_chosen_and_later_those_that_it_finds() -> None:
    answers = iter([listed("pay", "bob"), listed("ship", "pay", "gone"), "No tool fits."])
    it = given(
        scripted_loop(
            calls(("find_tools", '{"query": "send it"}')),
            calls(("ship", "{}"), ("find_tools", '{"query": "x"}')),
            says("Sent."),
        ),
        find_tools=lambda _: next(answers),
        ship=lambda _: "shipped",
    )
    assert (await it.run(work(tools=NAMES))).content == "Sent."
    first = ("find_tools", "search_knowledge", "pay", "bob")
    assert it.model.offered == [first, (*first, "ship"), (*first, "ship")]
    assert it.tools.log[0] == ("find_tools", {"query": "Do it."})


@pytest.mark.essential
@pytest.mark.parametrize("after", [True, False])
async def test_a_resumed_run_has_the_same_tools_and_passages(*, after: bool) -> None:
    """Whatever a search would find by then."""
    made = 0
    for lives in range(4):
        journal = MemoryJournal()
        it = given(
            scripted_loop(CALL, says("Done.")),
            find_tools=lambda _: listed("lookup"),
            search_knowledge=lambda _: "30 days.",
        )
        it.journal = DyingJournal(journal, lives, after=after)
        with pytest.raises(RunLost):
            await it.run(with_knowledge(in_prompt=True))
        asked = StepKey(1, 0) in journal.steps
        recorded = journal.steps.keys() & {StepKey(0, 1), StepKey(0, 2)}
        again = given(
            scripted_loop(*([] if asked else [CALL]), says("Done.")),
            find_tools=lambda _: listed("ship"),
            search_knowledge=lambda _: "40 days.",
        )
        again.journal = journal
        assert (await again.run(with_knowledge(in_prompt=True))).status is Status.OK
        if len(recorded) == 2:
            made += 1
            assert "lookup" in again.model.offered[-1]
            assert "ship" not in again.model.offered[-1]
            found = quoted("search_knowledge", "30 days.")
            assert again.model.seen[-1][1].content == f"Do it.\n\n{found}{CLOCK}"
    assert made


async def test_without_the_tools_no_call_is_made_before_the_first_turn() -> None:
    it = scripted_loop(says("Done."))
    await it.run(with_knowledge(in_prompt=False).model_copy(update={"tools": work().tools}))
    assert it.tools.log == []
    assert it.model.offered == [("lookup", "search", "bob", "carol")]


async def test_a_choice_or_search_that_fails_offers_all_tools_and_no_passages() -> None:
    it = given(scripted_loop(says("Done.")), find_tools=refusing, search_knowledge=refusing)
    assert (await it.run(with_knowledge(in_prompt=True))).status is Status.OK
    assert it.model.offered == [(*NAMES, "bob", "carol")]
    assert it.model.seen[0][1].content == f"Do it.{CLOCK}"
