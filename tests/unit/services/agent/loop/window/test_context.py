"""Runs whose histories are longer than the context of their model."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from services.agent.llm.chat import Completion, Request, System, ToolResult, User
from services.agent.loop.journal import MemoryJournal
from services.agent.loop.loop import run
from services.agent.loop.window.context import NEWEST_TURNS
from services.agent.loop.window.shortening import TOO_LONG
from services.agent.loop.work import Outcome, Work
from shared.contract.messages import Budget, Status, Task, Usage
from shared.contract.prompts import quoted, unquoted
from shared.definitions.functions import JsonObject
from shared.errors import HutchError, ModelError, ModelUnavailable, RunLost
from tests.support.model.doubles import ScriptedTools, ScriptedWorkers, calls, says
from tests.support.model.loop import CLOCK, SYSTEM, DyingJournal, work
from tests.support.model.window import WindowModel, tokens

TASK = "Count the orders of each customer."
WINDOW = 4_000


def looks_up(turns: int) -> Callable[[int], Completion]:
    """Looks two orders up in each turn, and answers after the last."""

    def script(turn: int) -> Completion:
        if turn > turns:
            return says("Done.")
        return calls(("lookup", f'{{"order": {turn}}}'), ("lookup", f'{{"order": {-turn}}}'))

    return script


def lookup(arguments: JsonObject) -> str:
    order = arguments["order"]
    return f"order {order}: " + " ".join(f"line {order}.{line} is paid" for line in range(30))


def long_work(turns: int = 30, window: int | None = WINDOW, **task: object) -> Work:
    message = Task.model_validate({"content": TASK, **task})
    return work(message, turns=turns + 1).model_copy(update={"window": window})


async def run_of(
    model: WindowModel,
    it: Work,
    journal: MemoryJournal | None = None,
    result: Callable[[JsonObject], str] = lookup,
) -> Outcome:
    tools = ScriptedTools({"lookup": result, "pay": result})
    return await run(it, model, tools, ScriptedWorkers(), journal or MemoryJournal())


def results(request: Request) -> list[str]:
    return [unquoted(it.content) for it in request.history if isinstance(it, ToolResult)]


def paid_calls(journal: MemoryJournal) -> int:
    outputs = [json.loads(it) for kind, _, it in journal.steps.values() if kind == "model"]
    return sum(Usage.model_validate(it["usage"]).model_calls for it in outputs)


async def test_a_long_run_in_a_short_context_ends_without_a_refusal() -> None:
    model = WindowModel(WINDOW, looks_up(300))
    outcome = await run_of(model, long_work(300))
    assert (outcome.status, outcome.content) == (Status.OK, "Done.")
    assert model.refused == []
    sent = [tokens(it) for it in model.turns]
    early, late = sent[20:150], sent[150:]
    assert abs(sum(early) / len(early) - sum(late) / len(late)) < 0.1 * WINDOW, "it stays flat"


async def test_the_system_text_the_task_and_the_newest_turns_are_always_sent_whole() -> None:
    model = WindowModel(WINDOW, looks_up(60))
    await run_of(model, long_work(60))
    for turn, request in enumerate(model.turns, 1):
        system, user = request.history[:2]
        assert system == System(content=SYSTEM)
        assert isinstance(user, User)
        assert user.content.startswith(TASK + CLOCK)
        numbers = range(max(1, turn - NEWEST_TURNS), turn)
        newest = [lookup({"order": it}) for number in numbers for it in (number, -number)]
        assert results(request)[len(results(request)) - len(newest) :] == newest


async def test_old_results_are_removed_first_and_then_old_turns_are_summarised() -> None:
    model = WindowModel(WINDOW, looks_up(60))
    await run_of(model, long_work(60))
    first = next(it for it in model.turns if "[result removed" in str(it.history))
    before_first = model.answered[: model.answered.index(first)]
    assert not any(it in model.summaries for it in before_first)
    mark = f"[result removed to save space: {len(lookup({'order': 1}))} characters; call the tool"
    assert results(first)[0].startswith(mark)
    assert "order 1: line 1.0 is paid" in str(model.summaries[0].history)
    assert "The summary so far:\nAll was found." in str(model.summaries[1].history[1].content)
    asked = model.turns[-1].history[1]
    assert (asked.content or "").endswith(quoted("summary", "All was found."))


async def test_a_summary_is_a_recorded_step_and_counts_in_the_usage() -> None:
    model, journal = WindowModel(WINDOW, looks_up(60)), MemoryJournal()
    outcome = await run_of(model, long_work(60), journal)
    assert model.summaries
    assert outcome.usage == model.used
    assert paid_calls(journal) == len(model.answered) == outcome.usage.model_calls


@pytest.mark.parametrize("after", [True, False], ids=["committed", "uncommitted"])
async def test_a_run_killed_at_any_step_sends_the_same_requests(after: bool) -> None:
    whole, journal = WindowModel(WINDOW, looks_up(30)), MemoryJournal()
    outcome = await run_of(whole, long_work(), journal)
    assert whole.summaries
    for lives in range(len(journal.steps)):
        killed = DyingJournal(MemoryJournal(), lives, after=after)
        with pytest.raises(RunLost):
            await run_of(WindowModel(WINDOW, looks_up(30)), long_work(), killed)
        turns = sum(name == "turn" for _, name, _ in killed.steps.values())
        paid = paid_calls(killed)
        resumed = WindowModel(WINDOW, looks_up(30), turn=turns)
        assert await run_of(resumed, long_work(), MemoryJournal(killed.steps)) == outcome
        assert resumed.answered == whole.answered[paid:]


@pytest.mark.parametrize("reports_usage", [True, False])
@pytest.mark.parametrize("names_window", [True, False])
async def test_a_context_of_unknown_length_is_learnt_from_refusals(
    names_window: bool, reports_usage: bool
) -> None:
    model, journal = WindowModel(WINDOW, looks_up(60)), MemoryJournal()
    model.names_window, model.reports_usage = names_window, reports_usage
    outcome = await run_of(model, long_work(60, window=None), journal)
    assert outcome.status is Status.OK
    assert 1 <= len(model.refused) <= 2
    replayed = WindowModel(1, looks_up(0))
    assert await run_of(replayed, long_work(60, window=None), journal) == outcome


async def test_a_context_that_is_shorter_than_the_file_says_is_learnt() -> None:
    model = WindowModel(WINDOW, looks_up(60))
    outcome = await run_of(model, long_work(60, window=50_000))
    assert outcome.status is Status.OK
    assert 1 <= len(model.refused) <= 2


async def test_a_task_that_is_longer_than_the_context_fails_with_a_sentence_of_its_own() -> None:
    model = WindowModel(WINDOW, looks_up(5))
    outcome = await run_of(model, long_work(content="x" * 20_000))
    assert (outcome.status, outcome.content) == (Status.FAILED, TOO_LONG)
    assert "more than 4000" in (outcome.detail or "")
    assert len(model.refused) == 1


async def test_results_too_long_for_the_context_are_cut() -> None:
    model = WindowModel(WINDOW, looks_up(10))
    outcome = await run_of(model, long_work(10), result=lambda _: "x" * 40_000)
    assert outcome.status is Status.OK
    assert model.refused == []
    assert "of 40000 characters]" in results(model.turns[1])[0]


async def test_what_must_not_be_called_twice_is_not_offered_again() -> None:
    def pays(turn: int) -> Completion:
        return calls(("pay", f'{{"bill": {turn}}}')) if turn < 30 else says("Done.")

    model = WindowModel(WINDOW, pays)
    it = work(Task(content=TASK), tools=("pay",), turns=30).model_copy(update={"window": WINDOW})
    await run_of(model, it, result=lambda _: "paid " * 200)
    sent = [it for request in model.turns for it in results(request)]
    assert "[result removed to save space: 1000 characters]" in sent
    assert not any("call the tool again" in it for it in sent)


@pytest.mark.parametrize(
    "reply",
    [says(" "), says(None, refusal="No."), says("x", "content_filter"), ModelError("400")],
    ids=["empty", "refused", "filtered", "failed"],
)
async def test_without_a_summary_old_turns_are_left_out_with_a_mark(
    reply: Completion | HutchError,
) -> None:
    model = WindowModel(WINDOW, looks_up(60), summarise=lambda: reply)
    outcome = await run_of(model, long_work(60))
    assert outcome.status is Status.OK
    assert model.refused == []
    assert "earlier turns of yours left out to save space]" in str(model.turns[-1].history[1])


async def test_a_summary_that_is_much_too_long_is_cut() -> None:
    model = WindowModel(WINDOW, looks_up(60), summarise=lambda: says("It was found. " * 5_000))
    outcome = await run_of(model, long_work(60))
    assert outcome.status is Status.OK
    assert model.refused == []
    assert "of 69999 characters]" in str(model.turns[-1].history[1])


async def test_a_run_whose_model_is_away_at_a_summary_continues_later() -> None:
    whole = WindowModel(WINDOW, looks_up(30))
    outcome = await run_of(whole, long_work())
    away, journal = WindowModel(WINDOW, looks_up(30)), MemoryJournal()
    away.summarise = lambda: ModelUnavailable("503")
    with pytest.raises(ModelUnavailable):
        await run_of(away, long_work(), journal)
    back = WindowModel(WINDOW, looks_up(30), turn=away.turn)
    assert await run_of(back, long_work(), journal) == outcome
    assert [*away.answered, *back.answered] == whole.answered


async def test_the_last_calls_of_a_budget_are_not_spent_on_summaries() -> None:
    whole, journal = WindowModel(WINDOW, looks_up(60)), MemoryJournal()
    await run_of(whole, long_work(60), journal)
    first = whole.answered.index(whole.summaries[0])
    model = WindowModel(WINDOW, looks_up(first))
    outcome = await run_of(model, long_work(60, budget=Budget(model_calls=first + 2)))
    assert model.summaries == []
    assert outcome.usage.model_calls == first + 2 or outcome.status is Status.OK


async def test_a_budget_of_many_tokens_asks_for_no_longer_reply_than_the_context_leaves() -> None:
    model = WindowModel(WINDOW, looks_up(20))
    outcome = await run_of(model, long_work(20, budget=Budget(tokens=10_000_000)))
    assert outcome.status is Status.OK
    assert model.refused == []


async def test_the_newest_notes_and_exchanges_are_kept_as_far_as_they_fit() -> None:
    model = WindowModel(WINDOW, looks_up(0))
    recalled = tuple((f"asked {it}", f"answered {it}" + "." * 500) for it in range(100))
    notes = tuple(f"From tom: note {it}" + "." * 500 for it in range(100))
    it = long_work().model_copy(update={"recalled": recalled, "notes": notes})
    outcome = await run_of(model, it)
    assert outcome.status is Status.OK
    assert model.refused == []
    sent = str(model.turns[0].history)
    assert "answered 99." in sent
    assert "answered 0." not in sent
    assert "note 99." in sent
    assert "note 0." not in sent


async def test_in_a_long_context_nothing_is_left_out() -> None:
    model, journal = WindowModel(1_000_000, looks_up(60)), MemoryJournal()
    await run_of(model, long_work(60, window=1_000_000), journal)
    assert {name for _, name, _ in journal.steps.values()} == {"turn", "lookup"}
    for one, following in zip(model.turns, model.turns[1:], strict=False):
        assert list(following.history[: len(one.history)]) == list(one.history)
