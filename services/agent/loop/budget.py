"""A run's budget: the rest of it, and its division among calls to workers.

These are pure functions of the recorded steps, so a resumed run computes the same shares. A call
reserves a worker's share; the worker's response returns what it has not spent.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import floor

from shared.contract.messages import COST_DIGITS, Budget, Usage

_SCALE = 10.0**COST_DIGITS


def remaining(budget: Budget, usage: Usage) -> Budget:
    """The budget minus `usage`, at least 0."""
    return Budget(
        model_calls=_minus(budget.model_calls, usage.model_calls),
        tokens=_minus(budget.tokens, usage.tokens),
        cost=_unspent(budget.cost, usage.cost),
    )


def is_spent(left: Budget) -> bool:
    """Whether no further call is allowed."""
    return left.model_calls == 0 or left.tokens == 0 or left.cost == 0


def shares(left: Budget, workers: int) -> Iterator[Budget]:
    """The share of each of `workers` calls of one turn, in call order.

    The manager keeps one model call for its own next turn, and as many tokens and as much money
    as one worker gets. The rest is split evenly; a remainder of model calls goes to the first
    workers.
    """
    calls = None if left.model_calls is None else max(0, left.model_calls - 1)
    tokens = None if left.tokens is None else left.tokens // (workers + 1)
    cost = None if left.cost is None else _rounded_down(left.cost / (workers + 1))
    for place in range(workers):
        share = None if calls is None else calls // workers + (place < calls % workers)
        yield Budget(model_calls=share, tokens=tokens, cost=cost)


def capped_usage(reported: Usage, share: Budget) -> Usage:
    """The usage that a worker reported, limited to between 0 and its share.

    The manager can't verify the report. The limits keep a worker from increasing the budget of the
    whole tree and from using up what it was not given. Calls without a cost are charged the whole
    share of a cost budget; without such a budget there is no cost.
    """
    inputs = _within(reported.input_tokens, share.tokens)
    outputs = _within(reported.output_tokens, _minus(share.tokens, inputs))
    return Usage(
        model_calls=_within(reported.model_calls, share.model_calls),
        input_tokens=inputs,
        output_tokens=outputs,
        cached_tokens=_within(reported.cached_tokens, inputs),
        reasoning_tokens=_within(reported.reasoning_tokens, outputs),
        cost=_charged(reported, share.cost),
    )


def _charged(reported: Usage, share: float | None) -> float | None:
    if share is None:
        return None
    if reported.cost is None:
        return share if reported.model_calls > 0 else 0.0
    return max(0.0, min(reported.cost, share))


def _within(number: int, most: int | None) -> int:
    return max(0, number if most is None else min(number, most))


def _minus(limit: int | None, spent: int) -> int | None:
    return None if limit is None else max(0, limit - spent)


def _unspent(limit: float | None, spent: float | None) -> float | None:
    return None if limit is None else max(0.0, round(limit - (spent or 0.0), COST_DIGITS))


def _rounded_down(usd: float) -> float:
    """Shares that are rounded up could add up to more than there is."""
    return floor(usd * _SCALE) / _SCALE
