"""What a run may still spend, and how it is divided: pure functions of what has been recorded.

A call to a worker takes its share out of what is left before it is made, and what it didn't
spend comes back with its response. A resumed run reckons the same shares again.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.contract.messages import Budget, Usage


def remaining(budget: Budget, usage: Usage) -> Budget:
    """What is left after `usage`; never less than nothing."""
    return Budget(
        model_calls=_minus(budget.model_calls, usage.model_calls),
        tokens=_minus(budget.tokens, usage.tokens),
    )


def is_spent(left: Budget) -> bool:
    """Nothing more may be called."""
    return left.model_calls == 0 or left.tokens == 0


def shares(left: Budget, workers: int) -> Iterator[Budget]:
    """What each of `workers` calls of one turn gets of what is left, in call order.

    One model call stays with the manager for its own next turn, and as many tokens as one
    worker gets. The rest is split evenly; model calls that can't be go to the first ones.
    """
    calls = None if left.model_calls is None else max(0, left.model_calls - 1)
    tokens = None if left.tokens is None else left.tokens // (workers + 1)
    for place in range(workers):
        share = None if calls is None else calls // workers + (place < calls % workers)
        yield Budget(model_calls=share, tokens=tokens)


def counted(reported: Usage, share: Budget) -> Usage:
    """What a worker's reported usage counts: at least nothing, at most the share that it was given.

    Its manager can't check what it says. So no worker lifts the budget of the tree or uses up what
    it was not given. One whose prompt went over its share has used up its share.
    """
    inputs = _within(reported.input_tokens, share.tokens)
    return Usage(
        model_calls=_within(reported.model_calls, share.model_calls),
        input_tokens=inputs,
        output_tokens=_within(reported.output_tokens, _minus(share.tokens, inputs)),
    )


def _within(number: int, most: int | None) -> int:
    return max(0, number if most is None else min(number, most))


def _minus(limit: int | None, spent: int) -> int | None:
    return None if limit is None else max(0, limit - spent)
