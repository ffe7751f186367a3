"""Calls that a person must approve: the run parks, and the decision counts for that call."""

from __future__ import annotations

import pytest

from services.agent.llm.chat import ToolResult
from services.agent.loop.approvals import DENIED, EXPIRED, ParkedWorker, RunParked
from services.agent.loop.journal import StepKey
from services.agent.loop.work import Work
from shared.contract.approvals import ApprovalDecision, ApprovalRequest, ApprovalState
from shared.contract.messages import Status
from shared.contract.prompts import quoted
from shared.definitions.approval import ApprovalRule
from tests.support.model.doubles import ScriptedModel, calls, says
from tests.support.model.loop import BOB, ScriptedLoop, scripted_loop, work

PAY = ("pay", '{"order": 7, "amount": 150}')
LOOKUP = ("lookup", '{"order": 7}')
ALWAYS = {"pay": ApprovalRule(), "bob": ApprovalRule()}
APPROVED = ApprovalDecision(ApprovalState.APPROVED)

guarded = work(tools=("lookup", "pay"), approvals=ALWAYS)


async def parked(it: ScriptedLoop, given: Work = guarded) -> RunParked:
    with pytest.raises(RunParked) as caught:
        await it.run(given)
    return caught.value


def resumed(it: ScriptedLoop) -> ScriptedLoop:
    """The run in another process, with the same script."""
    rest = it.model.script[len(it.model.seen) :]
    return ScriptedLoop(ScriptedModel(*rest), journal=it.journal)


async def test_a_call_that_needs_approval_parks_the_run_after_its_other_calls() -> None:
    it = scripted_loop(calls(PAY, LOOKUP))
    [request] = (await parked(it)).requests
    assert (request.turn, request.position, request.kind, request.name) == (1, 1, "tool", "pay")
    assert request.arguments == '{"amount": 150, "order": 7}'
    assert it.performed == {("tool", "lookup")}
    assert StepKey(1, 2) in it.journal.steps


async def test_an_approved_call_is_made_and_the_others_are_not_repeated() -> None:
    it = scripted_loop(calls(PAY, LOOKUP), says("Paid."))
    [request] = (await parked(it)).requests
    it.journal.decisions[request] = APPROVED
    again = resumed(it)
    assert (await again.run(guarded)).content == "Paid."
    assert again.results == ["found 7", "found 7"]
    assert again.performed == {("tool", "pay")}
    assert again.journal.starts == {StepKey(1, 1): ("pay", '{"order":7,"amount":150}')}


@pytest.mark.parametrize(
    ("decision", "answer"),
    [
        (
            ApprovalDecision(ApprovalState.DENIED, "Ask for the receipt first."),
            f"{DENIED} They say: Ask for the receipt first.",
        ),
        (ApprovalDecision(ApprovalState.DENIED), DENIED),
        (ApprovalDecision(ApprovalState.EXPIRED), EXPIRED),
    ],
)
async def test_a_denied_call_is_answered_and_never_made(
    decision: ApprovalDecision, answer: str
) -> None:
    it = scripted_loop(calls(PAY), says("Not paid."))
    [request] = (await parked(it)).requests
    it.journal.decisions[request] = decision
    again = resumed(it)
    assert (await again.run(guarded)).status is Status.OK
    assert again.results == [answer]
    assert again.performed == set()
    assert not again.journal.starts
    again.journal.decisions.clear()  # the answer is a step now
    assert (await resumed(again).run(guarded)).content == "Not paid."


async def test_a_persons_note_is_not_quoted_since_the_model_may_follow_it() -> None:
    it = scripted_loop(calls(PAY, LOOKUP), calls(LOOKUP), says("Not paid."))
    [request] = (await parked(it)).requests
    it.journal.decisions[request] = ApprovalDecision(ApprovalState.DENIED, "Ask for the receipt.")
    again = resumed(it)
    await again.run(guarded)
    shown = [one.content for one in again.model.seen[-1] if isinstance(one, ToolResult)]
    assert shown[0] == f"{DENIED} They say: Ask for the receipt."
    assert shown[1] == quoted("lookup", "found 7")


async def test_a_decision_on_other_arguments_does_not_count() -> None:
    it = scripted_loop(calls(PAY))
    [request] = (await parked(it)).requests
    other = ApprovalRequest(1, 1, "tool", "pay", '{"amount": 15, "order": 7}', request.expires_s)
    it.journal.decisions[other] = APPROVED
    assert (await parked(resumed(it))).requests == (request,)


async def test_only_a_call_whose_condition_holds_needs_approval() -> None:
    rule = {"pay": ApprovalRule(when="amount > 100")}
    it = scripted_loop(calls(("pay", '{"amount": 5}'), PAY))
    waiting = await parked(it, work(tools=("pay",), approvals=rule))
    assert [it.position for it in waiting.requests] == [2]
    assert [arguments for _, arguments in it.tools.log] == [{"amount": 5}]


async def test_a_call_whose_arguments_are_wrong_is_answered_at_once() -> None:
    it = scripted_loop(calls(("pay", "{")), says("Sorry."))
    assert (await it.run(guarded)).content == "Sorry."


async def test_a_task_for_a_worker_needs_approval_too() -> None:
    it = scripted_loop(calls(("bob", BOB)), says("Done."))
    [request] = (await parked(it)).requests
    assert (request.kind, request.name, request.arguments) == ("worker", "bob", BOB)
    assert it.workers.log == []
    it.journal.decisions[request] = APPROVED
    again = resumed(it)
    assert (await again.run(guarded)).content == "Done."
    assert again.performed == {("worker", "bob")}


async def test_a_manager_parks_once_its_other_workers_have_answered() -> None:
    it = scripted_loop(calls(("bob", BOB), ("carol", BOB)), says("Done."))
    it.workers.parked.add("bob")
    waiting = await parked(it, work())
    assert waiting.workers == (ParkedWorker("the run of bob"),)
    assert waiting.requests == ()
    assert StepKey(1, 2) in it.journal.steps
    again = resumed(it)
    assert (await again.run(work())).content == "Done."
    assert [line for line in again.workers.log if "carol" in line] == []
