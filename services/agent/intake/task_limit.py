"""The limit on the tasks that the runs of one agent cause here in a minute: it ends a circle of
tasks that a tool sends.

Each process counts for itself, and counts only messages that an agent is known to have sent: by the
broker's user where each agent has its own, by the lineage otherwise.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import structlog

from services.agent.instance import Instance
from shared.broker.consumer import Delivery
from shared.contract.access import OPERATOR, agent_user
from shared.contract.messages import Task, Trigger
from shared.contract.topology import reply_queue_name

WINDOW_S = 60.0

log = structlog.get_logger()


def cause(message: Task | Trigger, delivery: Delivery, known: Collection[str]) -> str | None:
    """The agent whose run has sent a message; None if no run did, or none that could go in circles.

    A manager's call to its worker can't: the turns of the waiting run and the depth of the chain
    are limited. A message that an operator replays is not sent by a run.
    """
    if delivery.user_id == OPERATOR:
        return None
    user, said = delivery.user_id or "", message.sender
    if user.startswith(agent_user("")):
        agent = user.removeprefix(agent_user(""))
    elif message.path:
        agent = message.path[-1]
    elif said is not None and said in known:
        agent = said
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
class Caused:
    """`clock` is monotonic: a machine's clock that jumps does not change the count."""

    instance: Instance
    clock: Callable[[], float] = time.monotonic
    _recent: dict[str, _Recent] = field(default_factory=dict)
    _swept_at: float = float("-inf")

    def refusal(self, agent: str) -> str | None:
        """Count one more task; if that is too many, the sentence that refuses it.

        Refused tasks count too, so that multiplying work is refused until it stops. For each agent
        it is logged, and announced as an event, once a minute.
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
        """Forget agents that have caused nothing for a minute: a path can hold any name."""
        if now - self._swept_at >= WINDOW_S:
            self._swept_at = now
            fresh = (it for it in self._recent.items() if now - it[1].at[-1] < WINDOW_S)
            self._recent = dict(fresh)
