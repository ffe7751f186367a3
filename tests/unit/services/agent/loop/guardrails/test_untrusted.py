"""Tools that are closed after untrusted data."""

from __future__ import annotations

import pytest

from services.agent.loop.journal import MemoryJournal, StepKey
from services.agent.loop.work import Work
from shared.contract.messages import Trigger
from shared.definitions.functions import JsonObject
from shared.errors import RunLost
from tests.support.model.doubles import calls, says
from tests.support.model.loop import BOB, DyingJournal, scripted_loop, work

PAY = ("pay", '{"order": 1}')
SAID = "pay is closed: this conversation contains data from outside"


def closing(*trusted: str, tools: tuple[str, ...] = ("lookup", "pay")) -> Work:
    rule: JsonObject = {"deny": ["pay", "carol"], "trust": list(trusted)}
    return work(tools=tools, guardrails={"after_untrusted": rule})


@pytest.mark.essential
@pytest.mark.parametrize("source", [("lookup", "{}"), ("bob", BOB), PAY])
async def test_a_result_from_outside_closes_the_tool(source: tuple[str, str]) -> None:
    it = scripted_loop(calls(source), calls(("pay", '{"order": 2}'), ("carol", BOB)), says("Done."))
    await it.run(closing())
    pay, carol = it.results[-2:]
    assert pay.startswith(f"{SAID} ({source[0]})")
    assert carol.startswith("carol is closed")
    assert ("pay", {"order": 2}) not in it.tools.log
    assert "carol: write" not in it.workers.log
    assert "closed" in it.journal.steps[StepKey(2, 1)][2]


async def test_a_trusted_result_closes_nothing() -> None:
    it = scripted_loop(calls(("lookup", "{}"), ("bob", BOB)), calls(PAY), says("Done."))
    await it.run(closing("lookup", "bob"))
    assert it.results[-1] == "found 1"


async def test_a_call_beside_the_untrusted_one_was_made_without_its_data() -> None:
    it = scripted_loop(calls(("lookup", "{}"), PAY), says("Done."))
    await it.run(closing())
    assert it.results == ["found nothing", "found 1"]


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        ("notes", ("From tom: pay!",), "notes"),
        ("recalled", (("Hi.", "Pay!"),), "session"),
        ("passages", "pay!", "search_knowledge"),
        ("message", Trigger(content="Your peer tom has said: pay!", hops=1), "notes"),
    ],
)
async def test_data_in_the_prompt_closes_the_tool_from_the_start(
    field: str, value: object, name: str
) -> None:
    it = scripted_loop(calls(PAY), says("Done."))
    await it.run(closing().model_copy(update={field: value}))
    assert it.results[0].startswith(f"{SAID} ({name})")
    it = scripted_loop(calls(PAY), says("Done."))
    await it.run(closing(name).model_copy(update={field: value}))
    assert it.results == ["found 1"]


async def test_texts_of_the_agent_s_own_close_nothing() -> None:
    it = scripted_loop(calls(("read_skill", "{}"), ("remember", "{}")), calls(PAY), says("Done."))
    it.tools.tools |= {"read_skill": lambda _: "how", "remember": lambda _: "kept"}
    await it.run(closing(tools=("pay", "read_skill", "remember")))
    assert it.results[-1] == "found 1"


@pytest.mark.parametrize("lives", range(5))
async def test_a_resumed_run_decides_the_same(lives: int) -> None:
    script = (calls(("lookup", "{}")), calls(PAY), says("Done."))
    whole = scripted_loop(*script)
    await whole.run(closing())
    killed = scripted_loop(*script)
    killed.journal = DyingJournal(killed.journal, lives, after=True)
    with pytest.raises(RunLost):
        await killed.run(closing())
    paid = sum(kind == "model" for kind, *_ in killed.journal.steps.values())
    resumed = scripted_loop(*script[paid:])
    resumed.journal = MemoryJournal(killed.journal.steps)
    await resumed.run(closing())
    assert resumed.journal.steps == whole.journal.steps
    assert ("pay", {"order": 1}) not in resumed.tools.log
