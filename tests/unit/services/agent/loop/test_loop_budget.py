"""The loop under a budget: what it lets workers spend, where it stops, how it resumes."""

from __future__ import annotations

import pytest

from services.agent.llm.chat import Completion, User
from services.agent.loop.calls import NOT_ASKED
from services.agent.loop.journal import MemoryJournal, StepKey, StepKind
from services.agent.loop.loop import CONCLUDE
from services.agent.loop.work import Work
from shared.contract.messages import Budget, Status, Task, Usage
from shared.errors import RunLost
from tests.support.model.doubles import COST, calls, says
from tests.support.model.loop import BOB, CLOCK, scripted_loop, work

CAROL = '{"prompt": "check"}'
TWICE = (calls(("bob", BOB), ("carol", CAROL)), calls(("carol", CAROL)), says("Done."))


def given(
    model_calls: int | None = None,
    tokens: int | None = None,
    cost: float | None = None,
    turns: int = 10,
) -> Work:
    budget = Budget(model_calls=model_calls, tokens=tokens, cost=cost)
    return work(Task(content="Do it.", budget=budget), turns=turns)


async def test_a_run_without_a_budget_sets_no_limits() -> None:
    it = scripted_loop(*TWICE)
    assert (await it.run()).status is Status.OK
    assert it.model.limits == [None] * 3
    assert list(it.workers.budgets.values()) == [Budget()] * 3


async def test_workers_share_all_remaining_calls_but_one_and_return_unused_ones() -> None:
    it = scripted_loop(*TWICE)
    outcome = await it.run(given(model_calls=10))
    assert (outcome.status, outcome.usage.model_calls) == (Status.OK, 6)
    assert list(it.workers.budgets.values()) == [Budget(model_calls=n) for n in (4, 4, 5)]


async def test_each_reply_is_limited_to_the_tokens_that_are_left() -> None:
    it = scripted_loop(*TWICE)
    await it.run(given(tokens=1000))
    assert COST.tokens == 15
    assert it.model.limits == [1000, 1000 - 3 * 15, 1000 - 5 * 15]
    assert list(it.workers.budgets.values()) == [
        Budget(tokens=n) for n in (985 // 3, 985 // 3, (955 - 15) // 2)
    ]


async def test_the_last_call_of_a_budget_asks_for_the_best_answer() -> None:
    it = scripted_loop(calls(("bob", BOB)), says("As far as Bob knows."))
    outcome = await it.run(given(model_calls=3))
    assert (outcome.status, outcome.content) == (Status.PARTIAL, "As far as Bob knows.")
    assert outcome.detail == "the budget of 3 model calls was reached"
    assert it.model.offered[-1] == ()
    assert it.model.seen[-1][-1] == User(content=CONCLUDE)


async def test_a_budget_of_one_call_is_spent_on_an_answer() -> None:
    it = scripted_loop(says("All I know."))
    outcome = await it.run(given(model_calls=1))
    assert (outcome.status, outcome.content) == (Status.PARTIAL, "All I know.")
    assert it.model.seen[0][-1] == User(content=CONCLUDE)


async def test_the_only_call_of_an_agent_without_tools_answers_as_ever() -> None:
    it = scripted_loop(says("Done."))
    bare = given(model_calls=1).model_copy(update={"tools": (), "workers": ()})
    assert (await it.run(bare)).status is Status.OK
    assert it.model.seen[0][-1] == User(content="Do it." + CLOCK)


async def test_an_empty_answer_is_not_nudged_without_means() -> None:
    it = scripted_loop(says(None))
    bare = given(model_calls=1).model_copy(update={"tools": (), "workers": ()})
    outcome = await it.run(bare)
    assert (outcome.status, outcome.content) == (
        Status.FAILED,
        "the budget of 1 model calls is spent",
    )


async def test_no_answer_to_the_last_call_is_a_failure() -> None:
    outcome = await scripted_loop(says(None)).run(given(model_calls=1))
    assert (outcome.status, outcome.content) == (
        Status.FAILED,
        "no answer: the budget of 1 model calls was reached",
    )


async def test_spent_tokens_end_the_run_before_the_next_call() -> None:
    it = scripted_loop(calls(("lookup", "{}")))
    outcome = await it.run(given(tokens=12))
    assert (outcome.status, outcome.content) == (
        Status.FAILED,
        "the budget of 12 tokens is spent",
    )
    assert outcome.usage.tokens == 15, "over by what the prompt took"


def priced(completion: Completion, cost: float) -> Completion:
    usage = completion.usage.model_copy(update={"cost": cost})
    return completion.model_copy(update={"usage": usage})


async def test_workers_and_their_manager_share_the_cost_that_is_left() -> None:
    it = scripted_loop(*(priced(reply, 0.01) for reply in TWICE))
    it.workers.cost = COST.model_copy(update={"cost": 0.02})
    outcome = await it.run(given(cost=0.1))
    assert (outcome.status, outcome.usage.cost) == (Status.OK, 0.09)
    assert list(it.workers.budgets.values()) == [Budget(cost=n) for n in (0.03, 0.03, 0.02)]


async def test_a_spent_cost_ends_the_run_before_the_next_call() -> None:
    it = scripted_loop(priced(calls(("lookup", "{}")), 0.07))
    outcome = await it.run(given(cost=0.05))
    assert (outcome.status, outcome.content) == (Status.FAILED, "the budget of 0.05 USD is spent")
    assert outcome.usage.cost == 0.07, "over by what the call cost"


async def test_a_worker_without_a_share_is_not_asked() -> None:
    it = scripted_loop(calls(("bob", BOB), ("carol", CAROL)), says("Alone."))
    outcome = await it.run(given(model_calls=3))
    assert it.results == ["bob on write", NOT_ASKED]
    assert (outcome.status, outcome.usage.model_calls) == (Status.PARTIAL, 3)


async def test_calls_that_cannot_be_made_get_no_share() -> None:
    it = scripted_loop(calls(("bob", "{}"), ("nobody", "{}"), ("bob", BOB)), says("Done."))
    await it.run(given(model_calls=5))
    assert list(it.workers.budgets.values()) == [Budget(model_calls=3)]


async def test_a_worker_that_has_used_up_its_share_leaves_its_manager_the_rest() -> None:
    it = scripted_loop(calls(("bob", BOB)), says("Done."))
    share = (300 - 15) // 2
    it.workers.cost = Usage(model_calls=1, input_tokens=share)
    outcome = await it.run(given(tokens=300))
    assert (outcome.status, outcome.usage.tokens) == (Status.OK, 15 + share + 15)
    assert it.model.limits == [300, 300 - 15 - share]


async def test_the_turn_limit_holds_under_a_budget() -> None:
    it = scripted_loop(calls(("lookup", "{}")), says("So far."))
    outcome = await it.run(given(model_calls=50, turns=1))
    assert outcome.detail == "the limit of 1 turns was reached"


@pytest.mark.parametrize("lost_after", range(6))
async def test_a_resumed_run_gives_its_workers_the_same_shares(lost_after: int) -> None:
    class Dying(MemoryJournal):
        async def record(self, key: StepKey, kind: StepKind, name: str, output: str) -> None:
            self.record_at_end(key, kind, name, output)

        def record_at_end(self, key: StepKey, kind: StepKind, name: str, output: str) -> None:
            if len(self.steps) == lost_after:
                raise RunLost("killed")
            super().record_at_end(key, kind, name, output)

    script = [priced(reply, 0.0123) for reply in TWICE]
    whole = scripted_loop(*script)
    outcome = await whole.run(given(model_calls=10, tokens=1000, cost=0.5))

    killed = scripted_loop(*script)
    killed.journal = Dying()
    with pytest.raises(RunLost):
        await killed.run(given(model_calls=10, tokens=1000, cost=0.5))
    paid = sum(kind == "model" for kind, *_ in killed.journal.steps.values())
    resumed = scripted_loop(*script[paid:])
    resumed.journal = MemoryJournal(killed.journal.steps)
    assert await resumed.run(given(model_calls=10, tokens=1000, cost=0.5)) == outcome
    assert resumed.model.limits == whole.model.limits[paid:]
    assert resumed.workers.budgets.items() <= whole.workers.budgets.items()
