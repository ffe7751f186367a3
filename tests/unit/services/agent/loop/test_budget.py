"""How a budget is divided before it is used."""

from __future__ import annotations

import pytest

from services.agent.loop.budget import capped_usage, is_spent, remaining, shares
from shared.contract.messages import Budget, Usage


def test_a_remaining_budget_is_never_negative() -> None:
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


def test_an_unlimited_budget_is_not_divided() -> None:
    assert list(shares(Budget(), 2)) == [Budget(), Budget()]


def reported(model_calls: int, input_tokens: int = 0, output_tokens: int = 0) -> Usage:
    """A usage as a worker may report it, believable or not."""
    return Usage.model_construct(
        model_calls=model_calls, input_tokens=input_tokens, output_tokens=output_tokens
    )


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (reported(2, 40, 20), Usage(model_calls=2, input_tokens=40, output_tokens=20)),
        (reported(-7991, -1, -1), Usage()),
        (reported(10**9, 10**9, 10**9), Usage(model_calls=4, input_tokens=100)),
        (reported(1, 90, 20), Usage(model_calls=1, input_tokens=90, output_tokens=10)),
        (reported(1, -50, 120), Usage(model_calls=1, output_tokens=100)),
    ],
)
def test_a_workers_usage_is_bounded_by_zero_and_its_share(usage: Usage, counts: Usage) -> None:
    assert capped_usage(usage, Budget(model_calls=4, tokens=100)) == counts


def test_without_a_share_a_workers_usage_is_used_as_reported_but_never_negative() -> None:
    assert capped_usage(reported(12, -3, 7), Budget()) == Usage(model_calls=12, output_tokens=7)
    assert capped_usage(reported(12, 5, 7), Budget(model_calls=3)).tokens == 12


def test_cached_and_reasoning_tokens_are_part_of_what_counts() -> None:
    usage = Usage(input_tokens=5, output_tokens=7, cached_tokens=9, reasoning_tokens=9)
    assert capped_usage(usage, Budget()).cached_tokens == 5
    assert capped_usage(usage, Budget()).reasoning_tokens == 7
    assert usage.tokens == 12
    assert (usage + usage).cached_tokens == 18
