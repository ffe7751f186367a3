"""What a run may still spend, and how it is divided: pure functions of what has been recorded.

A call to a worker takes its share out of what is left before it is made, and what it didn't
spend comes back with its response. A resumed run reckons the same shares again.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.messages import Budget, Usage


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


def _minus(limit: int | None, spent: int) -> int | None:
    return None if limit is None else max(0, limit - spent)
