"""Crash points: `python -m tests.support.processes.crashing POINT[:nth] services.agent NAME`.

Runs a process that kills itself (SIGKILL) at a named place, at the nth time that it gets there.
The places are wrapped from outside, here: the product's code knows nothing of them.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import runpy
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

from services.agent.loop.guardrails.checks import MODEL_STEP
from shared.contract.topology import DEAD, REPLIES, TASKS

Call = tuple[Any, ...]


def always(_: Call) -> bool:
    return True


@dataclass(frozen=True)
class Place:
    """A function or method, and which of its calls count, by their positional arguments."""

    module: str
    name: str
    side: Literal["before", "after"]
    counts: Callable[[Call], bool] = always


def to(*exchanges: str) -> Callable[[Call], bool]:
    return lambda call: call[1].exchange in exchanges


def kind(step: str) -> Callable[[Call], bool]:
    return lambda call: call[2] == step


def of_task(call: Call) -> bool:
    return bool(call[1].turn == 0)


def of_answer(call: Call) -> bool:
    return bool(call[1].turn > 0 and call[3] == MODEL_STEP)


def from_mailbox(call: Call) -> bool:
    return str(call[0].queue).startswith("agent.")


def forgets(call: Call) -> bool:
    return bool(call[1] < 0)


_PUBLISH = "shared.broker.publisher", "Publisher.publish"
_LIMITS = "services.agent.runs.models.rate_limits"
_MCP_CALL = "services.agent.tools.mcp.mcp_tool", "McpTool.call"
_FILES = "services.agent.tools.mcp.mcp_tool", "McpTool._keep"
_RECORD = "services.agent.runs.store_journal", "StoredJournal.record"

POINTS: dict[str, Place] = {
    "before-claim": Place("services.agent.intake.claim", "Claims.accept", "before"),
    "after-claim": Place("services.agent.intake.claim", "Claims.accept", "after"),
    "before-ack": Place("shared.broker.consumer", "Delivery.ack", "before", from_mailbox),
    "after-ack": Place("shared.broker.consumer", "Delivery.ack", "after", from_mailbox),
    "before-lease": Place(_LIMITS, "SharedLimit.ask", "before"),
    "after-lease": Place(_LIMITS, "SharedLimit.ask", "after"),
    "before-return": Place(_LIMITS, "SharedLimit._give_back", "before"),
    "after-return": Place(_LIMITS, "SharedLimit._give_back", "after"),
    "before-model-step": Place(*_RECORD, "before", kind("model")),
    "after-model-step": Place(*_RECORD, "after", kind("model")),
    "before-tool-step": Place(*_RECORD, "before", kind("tool")),
    "after-tool-step": Place(*_RECORD, "after", kind("tool")),
    "before-task-check": Place(*_RECORD, "before", of_task),
    "after-task-check": Place(*_RECORD, "after", of_task),
    "before-answer-check": Place(*_RECORD, "before", of_answer),
    "after-answer-check": Place(*_RECORD, "after", of_answer),
    "before-mcp-call": Place(*_MCP_CALL, "before"),
    "after-mcp-call": Place(*_MCP_CALL, "after"),
    "before-files": Place(*_FILES, "before"),
    "after-files": Place(*_FILES, "after"),
    "before-worker-step": Place(*_RECORD, "before", kind("worker")),
    "after-worker-step": Place(*_RECORD, "after", kind("worker")),
    "before-ask": Place(*_PUBLISH, "before", to(TASKS)),
    "after-ask": Place(*_PUBLISH, "after", to(TASKS)),
    "before-reply": Place("services.agent.runs.workers", "Replies.receive", "before"),
    "after-reply": Place("services.agent.runs.workers", "Replies.receive", "after"),
    "before-end": Place("services.agent.runs.ending", "Endings._end", "before"),
    "after-end": Place("services.agent.runs.ending", "Endings._end", "after"),
    "before-publish": Place(*_PUBLISH, "before", to(REPLIES, "")),
    "after-publish": Place(*_PUBLISH, "after", to(REPLIES, "")),
    "before-sent": Place("services.agent.delivery.outbox", "Outbox._delete_confirmed", "before"),
    "after-sent": Place("services.agent.delivery.outbox", "Outbox._count", "before", forgets),
    "before-take-over": Place("services.agent.upkeep.takeover", "Takeover._taken", "before"),
    "after-take-over": Place("services.agent.upkeep.takeover", "Takeover._taken", "after"),
    "before-hand-over": Place("services.agent.runs.execution", "Execution.hand_over", "before"),
    "after-hand-over": Place("services.agent.runs.execution", "Execution.hand_over", "after"),
    "before-park": Place("services.agent.runs.parking", "park", "before"),
    "after-park": Place("services.agent.runs.parking", "park", "after"),
    "before-decide": Place("services.cli.commands.approvals", "_decided", "before"),
    "after-decide": Place("services.cli.commands.approvals", "_decided", "after"),
    "before-dead-letter": Place(*_PUBLISH, "before", to(DEAD)),
    "after-dead-letter": Place(*_PUBLISH, "after", to(DEAD)),
}
"""An operation of the store has no `after` of its own: its transaction is still open there."""


def arm(place: Place, nth: int) -> None:
    """Wrap the place, so that its nth call that counts is this process's end."""
    left = nth
    where, _, name = place.name.rpartition(".")
    module = importlib.import_module(place.module)
    owner = attrgetter(where)(module) if where else module
    inner = getattr(owner, name)

    def passed(call: Call, side: str) -> None:
        nonlocal left
        if side != place.side or not place.counts(call):
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    async def awaited(*call: Any, **named: Any) -> object:
        passed(call, "before")
        result = await inner(*call, **named)
        passed(call, "after")
        return result

    def called(*call: Any, **named: Any) -> object:
        passed(call, "before")
        result = inner(*call, **named)
        passed(call, "after")
        return result

    wrapper: Callable[..., Awaitable[object]] | Callable[..., object]
    wrapper = awaited if inspect.iscoroutinefunction(inner) else called
    setattr(owner, name, functools.wraps(inner)(wrapper))


def main() -> None:
    point, _, nth = sys.argv[1].partition(":")
    sys.argv = sys.argv[2:]
    arm(POINTS[point], int(nth or 1))
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
