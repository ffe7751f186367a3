"""Checks before a run computes: deadline, budget, cycles of agents and depth of the call chain."""

from __future__ import annotations

from services.agent.loop.budget import is_spent
from services.agent.loop.work import Outcome
from shared.contract.messages import Status, Task, Trigger
from shared.definitions.model import Definition


def precheck(definition: Definition, message: Task | Trigger, left_s: float) -> Outcome | None:
    """The outcome of a message that must not run, else None. `left_s` seconds remain."""
    name, path = definition.name, message.path
    if left_s <= 0:
        return Outcome(status=Status.TIMEOUT, content="its deadline had passed before it could run")
    if message.budget and is_spent(message.budget):
        return Outcome(status=Status.REFUSED, content="not begun: its budget is spent")
    if name in path:
        cycle = " -> ".join((*path, name))
        return Outcome(status=Status.REFUSED, content=f"a cycle of calls: {cycle}")
    if len(path) >= definition.limits.depth:
        chain = " -> ".join((*path, name))
        return Outcome(
            status=Status.REFUSED,
            content=f"{name} takes chains of at most {definition.limits.depth} agents: {chain}",
        )
    return None
