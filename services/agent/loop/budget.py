"""A run's budget: the rest of it, and its division among calls to workers.

These are pure functions of the recorded steps, so a resumed run computes the same shares. A call
reserves a worker's share; the worker's response returns what it has not spent.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.contract.messages import Budget, Usage


def remaining(budget: Budget, usage: Usage) -> Budget:
    """The budget minus `usage`, at least 0."""
    return Budget(
        model_calls=_minus(budget.model_calls, usage.model_calls),
        tokens=_minus(budget.tokens, usage.tokens),
    )


def is_spent(left: Budget) -> bool:
    """Whether no further call is allowed."""
    return left.model_calls == 0 or left.tokens == 0


def shares(left: Budget, workers: int) -> Iterator[Budget]:
    """The share of each of `workers` calls of one turn, in call order.

    The manager keeps one model call for its own next turn, and as many tokens as one worker
    gets. The rest is split evenly; a remainder of model calls goes to the first workers.
    """
    calls = None if left.model_calls is None else max(0, left.model_calls - 1)
    tokens = None if left.tokens is None else left.tokens // (workers + 1)
    for place in range(workers):
        share = None if calls is None else calls // workers + (place < calls % workers)
        yield Budget(model_calls=share, tokens=tokens)


def capped_usage(reported: Usage, share: Budget) -> Usage:
    """The usage that a worker reported, limited to between 0 and its share.

    The manager can't verify the report. The limits keep a worker from increasing the budget of the
    whole tree and from using up what it was not given.
    """
    inputs = _within(reported.input_tokens, share.tokens)
    outputs = _within(reported.output_tokens, _minus(share.tokens, inputs))
    return Usage(
        model_calls=_within(reported.model_calls, share.model_calls),
        input_tokens=inputs,
        output_tokens=outputs,
        cached_tokens=_within(reported.cached_tokens, inputs),
        reasoning_tokens=_within(reported.reasoning_tokens, outputs),
    )


def _within(number: int, most: int | None) -> int:
    return max(0, number if most is None else min(number, most))


def _minus(limit: int | None, spent: int) -> int | None:
    return None if limit is None else max(0, limit - spent)
