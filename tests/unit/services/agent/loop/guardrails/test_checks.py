"""The checks of a run's task and answer, in the loop."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from services.agent.llm.chat import User
from services.agent.loop.journal import MemoryJournal, StepKey
from shared.contract.messages import Budget, Status, Task, Trigger
from shared.contract.prompts import quoted
from shared.definitions.functions import JsonObject
from shared.definitions.guardrails import Verdict
from shared.errors import ModelError, ModelUnavailable, RunLost
from tests.support.model.doubles import COST, ScriptedModel, calls, says
from tests.support.model.loop import CLOCK, DyingJournal, ScriptedLoop, scripted_loop, work

CARDS, POLITE = "checks.py:cards", "checks.py:polite"
BOTH: JsonObject = {"input": [{"function": CARDS}], "output": [{"function": POLITE}]}
BY_MODEL: JsonObject = {
    "input": [{"model": "small", "check": "No names."}],
    "output": [{"model": "small", "check": "Polite."}],
}
SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"sum": {"type": "integer"}},
    "required": ["sum"],
}


def passing(_: JsonObject) -> str:
    return Verdict(outcome="passed").output()


def changing(old: str, new: str) -> Callable[[JsonObject], str]:
    def check(arguments: JsonObject) -> str:
        text = str(arguments["text"]).replace(old, new)
        return Verdict(outcome="changed", text=text).output()

    return check


def refusing(reason: str) -> Callable[[JsonObject], str]:
    return lambda _: Verdict(outcome="refused", reason=reason).output()


def failing(_: JsonObject) -> str:
    raise ValueError("cards failed: the secret cause")


def checked(
    it: ScriptedLoop,
    task: Callable[[JsonObject], str] = passing,
    answer: Callable[[JsonObject], str] = passing,
) -> ScriptedLoop:
    it.tools.tools |= {CARDS: task, POLITE: answer}
    return it


def verdict(verdict: str, **more: str) -> str:
    return json.dumps({"verdict": verdict, **more})


async def test_texts_that_pass_are_left_as_they_are() -> None:
    it = checked(scripted_loop(says("Done.")))
    outcome = await it.run(work(guardrails=BOTH))
    assert (outcome.status, outcome.content, outcome.usage) == (Status.OK, "Done.", COST)
    assert it.model.seen[0][-1] == User(content="Do it." + CLOCK)
    assert it.tools.log == [(CARDS, {"text": "Do it."}), (POLITE, {"text": "Done."})]


@pytest.mark.essential
async def test_the_model_sees_the_changed_task_and_the_requester_the_changed_answer() -> None:
    it = checked(scripted_loop(says("Damn, 4111.")), changing("4111", "[card]"), changing("D", "d"))
    outcome = await it.run(work(Task(content="Pay 4111", context="4111"), guardrails=BOTH))
    assert outcome.content == "damn, 4111."
    assert it.model.seen[0][-1] == User(content="Pay [card]\n\nContext:\n[card]" + CLOCK)
    steps = {key: output for key, (_, _, output) in it.journal.steps.items()}
    assert "[card]" in steps[StepKey(0, -1)]
    assert "Damn, 4111." in steps[StepKey(1, 0)]
    assert "damn, 4111." in steps[StepKey(1, 1)]


async def test_a_text_that_comes_back_as_it_was_has_passed() -> None:
    it = checked(scripted_loop(says("Done.")), changing("x", "y"))
    await it.run(work(guardrails=BOTH))
    _, _, output = it.journal.steps[StepKey(0, -1)]
    assert Verdict.model_validate_json(output) == Verdict(outcome="passed")


async def test_each_check_gets_what_those_before_it_have_left() -> None:
    it = checked(scripted_loop(says("Done.")), changing("it", "that"))
    it.tools.tools["checks.py:second"] = changing("that", "this")
    both: JsonObject = {"input": [{"function": CARDS}, {"function": "checks.py:second"}]}
    await it.run(work(guardrails=both))
    assert it.model.seen[0][-1] == User(content="Do this." + CLOCK)


async def test_a_refused_task_costs_no_model_call_and_says_why() -> None:
    it = checked(scripted_loop(), refusing("We take no card numbers."))
    outcome = await it.run(work(guardrails=BOTH))
    assert outcome.status is Status.REFUSED
    assert outcome.content == (
        "the task was refused by one of the agent's checks: We take no card numbers."
    )
    assert it.model.seen == []


@pytest.mark.essential
async def test_a_check_that_fails_refuses_and_says_why_to_the_operator_only() -> None:
    it = checked(scripted_loop(), failing)
    outcome = await it.run(work(guardrails=BOTH))
    assert (outcome.status, outcome.content) == (
        Status.REFUSED,
        "the task was refused by one of the agent's checks",
    )
    assert outcome.detail == f"{CARDS}: failed: cards failed: the secret cause"


@pytest.mark.parametrize("said", ["", "null", '{"outcome": "fine"}'])
async def test_a_check_without_a_verdict_refuses(said: str) -> None:
    it = checked(scripted_loop(says("Rude.")), answer=lambda _: said)
    assert (await it.run(work(guardrails=BOTH))).status is Status.REFUSED


async def test_a_refused_answer_is_withheld_and_stays_in_the_journal() -> None:
    it = checked(scripted_loop(says("Rude.")), answer=refusing("It was impolite."))
    outcome = await it.run(work(guardrails=BOTH))
    assert outcome.status is Status.REFUSED
    assert "Rude" not in outcome.content + (outcome.detail or "")
    assert "Rude." in it.journal.steps[StepKey(1, 0)][2]


async def test_a_model_that_refuses_has_its_text_checked_too() -> None:
    it = checked(scripted_loop(says(None, refusal="No, fool.")), answer=changing("fool", "sir"))
    outcome = await it.run(work(guardrails=BOTH))
    assert (outcome.status, outcome.content) == (Status.REFUSED, "No, sir.")


async def test_a_conclusion_is_checked() -> None:
    it = checked(
        scripted_loop(calls(("lookup", "{}")), says("Perhaps.")), answer=changing("P", "p")
    )
    outcome = await it.run(work(turns=1, guardrails=BOTH))
    assert (outcome.status, outcome.content) == (Status.PARTIAL, "perhaps.")


@pytest.mark.parametrize(
    ("new", "status", "data"), [("2", Status.OK, {"sum": 2}), ("two", Status.REFUSED, None)]
)
async def test_a_changed_answer_still_has_to_fit_its_schema(
    new: str, status: Status, data: object
) -> None:
    it = checked(scripted_loop(says('{"sum":1}')), answer=changing('{"sum":1', f'{{"sum": {new}'))
    outcome = await it.run(work(output=SCHEMA, guardrails=BOTH))
    assert (outcome.status, outcome.data) == (status, data)
    assert data is None or outcome.content == '{"sum":2}'


async def test_the_fault_of_an_unchecked_answer_is_for_the_operator_only() -> None:
    it = checked(scripted_loop(*[says('{"sum":"the secret"}')] * 3))
    outcome = await it.run(work(output=SCHEMA, guardrails=BOTH))
    assert (outcome.status, outcome.content) == (
        Status.FAILED,
        "the answer does not fit its schema",
    )
    assert "the secret" in (outcome.detail or "")


async def test_a_trigger_without_a_text_is_not_checked() -> None:
    it = checked(scripted_loop(says("Done.")), failing)
    assert (await it.run(work(Trigger(), guardrails=BOTH))).status is Status.OK


async def test_an_answer_that_is_to_be_checked_is_not_streamed() -> None:
    it = checked(scripted_loop(says("Rude.")))
    it.stream = lambda _: pytest.fail("streamed")
    assert (await it.run(work(guardrails=BOTH))).status is Status.OK
    assert it.model.streamed == [False]


async def test_a_model_checks_with_its_rule_and_is_counted() -> None:
    it = scripted_loop(says("Ann is fine."))
    it.checking = ScriptedModel(
        says(verdict("change", text="Do that.")), says(verdict("pass", reason="It is polite."))
    )
    outcome = await it.run(work(guardrails=BY_MODEL))
    assert (outcome.content, outcome.usage) == ("Ann is fine.", COST + COST + COST)
    assert it.model.seen[0][-1] == User(content="Do that." + CLOCK)
    system, user = it.checking.seen[1]
    assert "The rule: Polite." in (system.content or "")
    assert user == User(content=quoted("text", "Ann is fine."))


@pytest.mark.parametrize(
    "said",
    [
        says(verdict("refuse", reason="It quotes the secret.")),
        says(verdict("change")),
        says("I think it passes."),
        says(None),
        says(None, refusal="I can't."),
        says(None, finish_reason="content_filter"),
        ModelError("a wrong key: the secret"),
    ],
)
async def test_an_answer_without_a_model_s_pass_is_refused_in_our_words(
    said: object,
) -> None:
    it = scripted_loop(says("Rude."))
    assert isinstance(said, ModelError) or hasattr(said, "usage")
    it.checking = ScriptedModel(said)  # type: ignore[arg-type]  # both kinds are taken
    outcome = await it.run(work(guardrails={"output": BY_MODEL["output"]}))
    assert (outcome.status, outcome.content) == (
        Status.REFUSED,
        "the answer was refused by one of the agent's checks",
    )
    assert (outcome.detail or "").startswith("the check by small: ")


async def test_a_run_whose_check_has_no_model_now_goes_on_later() -> None:
    it = scripted_loop(says("Fine."))
    it.checking = ScriptedModel(ModelUnavailable("down"))
    with pytest.raises(ModelUnavailable):
        await it.run(work(guardrails={"output": BY_MODEL["output"]}))
    later = ScriptedLoop(ScriptedModel(), journal=it.journal)
    later.checking = ScriptedModel(says(verdict("pass")))
    assert (await later.run(work(guardrails={"output": BY_MODEL["output"]}))).content == "Fine."


@pytest.mark.parametrize(("calls_left", "status"), [(2, Status.FAILED), (3, Status.PARTIAL)])
async def test_a_budget_keeps_the_calls_of_the_checks(calls_left: int, status: Status) -> None:
    it = scripted_loop(says("Done."))
    it.checking = ScriptedModel(says(verdict("pass")), says(verdict("pass")))
    task = Task(content="Do it.", budget=Budget(model_calls=calls_left))
    outcome = await it.run(work(task, guardrails=BY_MODEL))
    assert outcome.status is status
    assert outcome.usage.model_calls <= calls_left


async def test_an_answer_that_no_budget_is_left_to_check_is_withheld() -> None:
    it = scripted_loop(says("Done."))
    task = Task(content="Do it.", budget=Budget(tokens=COST.tokens))
    outcome = await it.run(work(task, guardrails={"output": BY_MODEL["output"]}))
    assert (outcome.status, outcome.content) == (
        Status.FAILED,
        "the budget was spent before its answer was checked",
    )


STEPS = 5


@pytest.mark.essential
@pytest.mark.parametrize("after", [True, False], ids=["committed", "uncommitted"])
@pytest.mark.parametrize("lives", range(STEPS))
async def test_a_run_killed_at_any_check_repeats_and_pays_no_finished_one(
    lives: int, after: bool
) -> None:
    rules: JsonObject = {
        "input": [{"function": CARDS}, {"model": "small", "check": "No names."}],
        "output": [{"function": POLITE}, {"model": "small", "check": "Polite."}],
    }
    verdicts = [says(verdict("pass")), says(verdict("change", text="Done, sir."))]

    def loop(paid: int) -> ScriptedLoop:
        it = checked(scripted_loop(says("Done.")), changing("it", "that"))
        it.checking = ScriptedModel(*verdicts[paid:])
        return it

    killed = loop(0)
    killed.journal = DyingJournal(killed.journal, lives, after=after)
    with pytest.raises(RunLost):
        await killed.run(work(guardrails=rules))
    finished = {(kind, name) for kind, name, _ in killed.journal.steps.values()}
    paid = sum(name == "check" for _, name, _ in killed.journal.steps.values())

    resumed = loop(paid)
    resumed.journal = MemoryJournal(killed.journal.steps)
    if ("model", "turn") in finished:
        resumed.model.script = []
    outcome = await resumed.run(work(guardrails=rules))
    assert (outcome.content, outcome.usage) == ("Done, sir.", COST + COST + COST)
    assert len(resumed.journal.steps) == STEPS
    assert not finished & resumed.performed
