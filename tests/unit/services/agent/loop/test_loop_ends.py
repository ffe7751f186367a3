from __future__ import annotations

import pytest

from services.agent.llm.chat import Completion, User
from services.agent.loop.calls import CUT_OFF
from services.agent.loop.loop import CONCLUDE, NUDGE
from shared.contract.messages import Status
from shared.errors import ModelError
from tests.support.model.doubles import calls, says
from tests.support.model.loop import BOB, scripted_loop, work


@pytest.mark.parametrize(
    "completion",
    [
        says(None, refusal="I won't."),
        calls(("lookup", "{}")).model_copy(update={"refusal": "I won't."}),
    ],
)
async def test_a_refusal_ends_the_run(completion: Completion) -> None:
    it = scripted_loop(completion)
    outcome = await it.run()
    assert (outcome.status, outcome.content) == (Status.REFUSED, "I won't.")
    assert it.tools.log == []


async def test_a_content_filter_ends_the_run() -> None:
    outcome = await scripted_loop(says("half an ans", "content_filter")).run()
    assert outcome.status is Status.REFUSED
    assert "content filter" in outcome.content


async def test_calls_that_were_cut_off_are_not_run_and_are_answered_so() -> None:
    it = scripted_loop(
        calls(("lookup", "{}"), ("bob", '{"pro'), finish_reason="length"), says("Done.")
    )
    assert (await it.run()).status is Status.OK
    assert it.results == [CUT_OFF, CUT_OFF]
    assert (it.tools.log, it.workers.log) == ([], [])


async def test_a_model_that_is_always_cut_off_meets_the_turn_limit() -> None:
    cut = calls(("lookup", "{"), finish_reason="length")
    outcome = await scripted_loop(cut, cut, says("All I know.")).run(work(turns=2))
    assert (outcome.status, outcome.content) == (Status.PARTIAL, "All I know.")


async def test_an_answer_that_was_cut_off_before_it_began_is_a_failure() -> None:
    outcome = await scripted_loop(says("", "length")).run()
    assert outcome.status is Status.FAILED
    assert "cut off" in outcome.content


async def test_an_answer_that_was_cut_off_later_is_partial() -> None:
    outcome = await scripted_loop(says("Once upon", "length")).run()
    assert (outcome.status, outcome.content) == (Status.PARTIAL, "Once upon")


@pytest.mark.parametrize("empty", [None, "", " \n"])
async def test_an_empty_answer_gets_one_nudge(empty: str | None) -> None:
    it = scripted_loop(says(empty), says("Done."))
    assert (await it.run()).content == "Done."
    assert it.model.seen[1][2:] == (User(content=NUDGE),)


async def test_two_empty_answers_in_a_row_are_a_failure() -> None:
    outcome = await scripted_loop(says(None), says(None)).run()
    assert (outcome.status, outcome.usage.model_calls) == (Status.FAILED, 2)


async def test_empty_answers_with_work_between_them_get_a_nudge_each() -> None:
    outcome = await scripted_loop(
        says(None), calls(("lookup", "{}")), says(None), says("Done.")
    ).run()
    assert outcome.content == "Done."


async def test_at_the_turn_limit_the_best_answer_is_asked_for_without_tools() -> None:
    it = scripted_loop(calls(("lookup", "{}")), calls(("lookup", "{}")), says("As far as I know."))
    outcome = await it.run(work(turns=2))
    assert (outcome.status, outcome.content) == (Status.PARTIAL, "As far as I know.")
    assert outcome.detail == "the limit of 2 turns was reached"
    assert it.model.offered[-1] == ()
    assert it.model.seen[-1][-1] == User(content=CONCLUDE)


@pytest.mark.parametrize("last", [says(None), calls(("lookup", "{}"))])
async def test_no_answer_at_the_turn_limit_is_a_failure(last: Completion) -> None:
    it = scripted_loop(calls(("lookup", "{}")), last)
    outcome = await it.run(work(turns=1))
    assert outcome.status is Status.FAILED
    assert outcome.content == "no answer: the limit of 1 turns was reached"
    assert len(it.tools.log) == 1


async def test_a_refusal_at_the_turn_limit_is_a_refusal() -> None:
    it = scripted_loop(calls(("lookup", "{}")), says(None, refusal="I won't."))
    assert (await it.run(work(turns=1))).status is Status.REFUSED


async def test_a_model_error_fails_the_run_with_the_detail_apart() -> None:
    error = ModelError("401: key sk-… is wrong", public="the endpoint refused the key")
    outcome = await scripted_loop(calls(("bob", BOB)), error).run()
    assert (outcome.status, outcome.content) == (Status.FAILED, "the endpoint refused the key")
    assert outcome.detail == "401: key sk-… is wrong"
    assert outcome.usage.model_calls == 2
