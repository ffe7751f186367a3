from __future__ import annotations

import pytest

from services.agent.loop.precheck import precheck
from shared.contract.messages import Budget, Status, Task, Trigger
from shared.definitions.model import Definition, Limits

BOB = Definition(name="bob", limits=Limits(depth=2))


@pytest.mark.parametrize("path", [(), ("alice",)])
def test_a_message_in_time_and_depth_runs(path: tuple[str, ...]) -> None:
    assert precheck(BOB, Task(content="Do it.", path=path), 0.1) is None
    assert precheck(BOB, Trigger(path=path), 0.1) is None


@pytest.mark.parametrize("left_s", [0, -5])
def test_a_message_past_its_deadline_is_answered(left_s: float) -> None:
    outcome = precheck(BOB, Task(content="Do it."), left_s)
    assert outcome is not None
    assert (outcome.status, outcome.usage.model_calls) == (Status.TIMEOUT, 0)
    assert "deadline" in outcome.content


def test_a_circle_is_refused_and_named() -> None:
    outcome = precheck(BOB, Task(content="Do it.", path=("bob", "alice")), 5)
    assert outcome is not None
    assert outcome.status is Status.REFUSED
    assert outcome.content == "a cycle of calls: bob -> alice -> bob"


def test_a_chain_that_is_too_long_is_refused_and_named() -> None:
    outcome = precheck(BOB, Task(content="Do it.", path=("carol", "alice")), 5)
    assert outcome is not None
    assert outcome.status is Status.REFUSED
    assert outcome.content == "bob takes chains of at most 2 agents: carol -> alice -> bob"


@pytest.mark.parametrize("budget", [Budget(model_calls=0), Budget(model_calls=3, tokens=0)])
def test_a_message_without_means_is_refused(budget: Budget) -> None:
    outcome = precheck(BOB, Task(content="Do it.", budget=budget), 5)
    assert outcome is not None
    assert (outcome.status, outcome.content) == (
        Status.REFUSED,
        "not begun: its budget is spent",
    )
    assert precheck(BOB, Task(content="Do it.", budget=Budget(model_calls=1)), 5) is None
