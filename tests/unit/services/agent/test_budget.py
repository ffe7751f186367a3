"""How a budget is divided, before anybody spends it."""

from __future__ import annotations

import pytest

from services.agent.budget import is_spent, remaining, shares
from shared.messages import Budget, Usage


def test_what_is_left_is_never_less_than_nothing() -> None:
    usage = Usage(model_calls=3, input_tokens=80, output_tokens=30)
    assert remaining(Budget(model_calls=5, tokens=200), usage) == Budget(model_calls=2, tokens=90)
    assert remaining(Budget(model_calls=2, tokens=100), usage) == Budget(model_calls=0, tokens=0)
    assert remaining(Budget(), usage) == Budget()


@pytest.mark.parametrize(
    ("budget", "spent"),
    [
        (Budget(), False),
        (Budget(model_calls=1, tokens=1), False),
        (Budget(model_calls=0), True),
        (Budget(model_calls=1, tokens=0), True),
    ],
)
def test_either_limit_spends_a_budget(budget: Budget, spent: bool) -> None:
    assert is_spent(budget) is spent


@pytest.mark.parametrize(
    ("left", "dealt"), [(7, [2, 2, 2]), (6, [2, 2, 1]), (3, [1, 1, 0]), (1, [0, 0, 0])]
)
def test_one_model_call_stays_with_the_manager(left: int, dealt: list[int]) -> None:
    assert [it.model_calls for it in shares(Budget(model_calls=left), 3)] == dealt


def test_tokens_are_split_evenly_among_the_workers_and_their_manager() -> None:
    assert [it.tokens for it in shares(Budget(tokens=1003), 3)] == [250, 250, 250]


def test_without_a_limit_there_is_nothing_to_divide() -> None:
    assert list(shares(Budget(), 2)) == [Budget(), Budget()]
