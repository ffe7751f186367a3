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
        (Budget(model_calls=1, cost=0.0), True),
        (Budget(cost=0.000000001), False),
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


def test_money_is_split_evenly_and_never_adds_up_to_more_than_there_is() -> None:
    dealt = [it.cost or 0.0 for it in shares(Budget(cost=0.1), 2)]
    assert dealt == [0.033333333] * 2
    assert sum(dealt) + dealt[0] <= 0.1


def test_what_is_left_of_a_cost_is_exact_to_the_last_digit() -> None:
    assert remaining(Budget(cost=0.3), Usage(cost=0.1)) == Budget(cost=0.2)
    assert remaining(Budget(cost=0.3), Usage(cost=0.4)) == Budget(cost=0.0)
    assert remaining(Budget(cost=0.3), Usage()) == Budget(cost=0.3)
    assert (Usage(cost=0.1) + Usage(cost=0.2)).cost == 0.3
    assert (Usage(cost=0.1) + Usage()).cost == 0.1
    assert (Usage() + Usage()).cost is None


@pytest.mark.parametrize(
    ("reported", "charged"),
    [
        (Usage(model_calls=1, cost=0.01), 0.01),
        (Usage(model_calls=1, cost=0.5), 0.2),
        (Usage.model_construct(model_calls=1, cost=-4.0), 0.0),
        (Usage(model_calls=1), 0.2),
        (Usage(), 0.0),
    ],
)
def test_a_workers_cost_is_bounded_by_its_share(reported: Usage, charged: float) -> None:
    assert capped_usage(reported, Budget(cost=0.2)).cost == charged


def test_without_a_share_a_worker_has_no_cost() -> None:
    assert capped_usage(Usage(model_calls=1, cost=0.01), Budget(tokens=9)).cost is None


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
