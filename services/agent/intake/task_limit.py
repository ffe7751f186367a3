"""The limit on the tasks that the runs of one agent cause here in a minute: it stops a cycle of
tasks that a tool sends.

Each process counts separately. It counts only messages that are known to come from an agent: by the
broker's user where each agent has its own, otherwise by `path` and `sender`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import structlog

from services.agent.instance import Instance
from shared.broker.consumer import Delivery
from shared.contract.access import FOR_ALL, agent_user
from shared.contract.messages import Task, Trigger
from shared.contract.topology import reply_queue_name

WINDOW_S = 60.0

log = structlog.get_logger()


def causing_agent(
    message: Task | Trigger, delivery: Delivery, known: Collection[str]
) -> str | None:
    """The agent whose run has sent a message; None for a message that the limit does not cover.

    It does not cover messages that no run has sent, such as an operator's replay, nor a manager's
    calls to its workers: the turns of the waiting run and the depth of the chain limit those.
    """
    if delivery.user_id in FOR_ALL:
        return None
    user, sender = delivery.user_id or "", message.sender
    if user.startswith(agent_user("")):
        agent = user.removeprefix(agent_user(""))
    elif message.path:
        agent = message.path[-1]
    elif sender is not None and sender in known:
        agent = sender
    else:
        return None
    return None if _is_call(message, delivery, agent) else agent


def _is_call(message: Task | Trigger, delivery: Delivery, agent: str) -> bool:
    waits = (delivery.reply_to or "").startswith(reply_queue_name(agent, ""))
    return waits and message.id is not None and delivery.correlation_id == message.id


@dataclass
class _Recent:
    at: deque[float]
    reported_at: float = float("-inf")


@dataclass
class TaskLimit:
    """Counts tasks by causing agent. `clock` is monotonic, so a jump of the machine's clock does
    not change the count."""

    instance: Instance
    clock: Callable[[], float] = time.monotonic
    _recent: dict[str, _Recent] = field(default_factory=dict)
    _swept_at: float = float("-inf")

    def refusal(self, agent: str) -> str | None:
        """Count one more task; returns the reason to refuse it if that is too many, else None.

        Refused tasks count too, so tasks that multiply are refused until they stop. A refusal is
        logged, and announced as an event, at most once a minute for each causing agent.
        """
        most, now = self.instance.definition.limits.caused_per_minute, self.clock()
        self._sweep(now)
        recent = self._recent.setdefault(agent, _Recent(deque(maxlen=most)))
        over = len(recent.at) == most and now - recent.at[0] < WINDOW_S
        recent.at.append(now)
        if not over:
            return None
        me = self.instance.agent
        reason = (
            f"not begun: runs of {agent} have caused more than {most} tasks of {me} within a "
            f"minute, the limit caused_per_minute of {me}'s file"
        )
        if now - recent.reported_at >= WINDOW_S:
            recent.reported_at = now
            log.warning("tasks refused for a minute", cause=agent, reason=reason)
            self.instance.announce("tasks.limit", cause=agent, limit=most)
        return reason

    def _sweep(self, now: float) -> None:
        """Forget agents that have caused nothing for a minute: a path can contain any name."""
        if now - self._swept_at >= WINDOW_S:
            self._swept_at = now
            fresh = (it for it in self._recent.items() if now - it[1].at[-1] < WINDOW_S)
            self._recent = dict(fresh)
