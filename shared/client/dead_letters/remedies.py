"""The things that an operator can do about a dead letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from shlex import quote
from typing import Literal

from shared.broker.connection import Broker
from shared.client.dead_letters.selection import Held, holding
from shared.contract.topology import DEAD_QUEUE
from shared.store import Store
from shared.store.runs.tool_starts import doubtful

MOST_READ = 1000
"""With more dead letters than this, they are counted, but not read: that would take seconds."""

Action = Literal["replay", "tool_done", "tool_again", "drop"]

_OPTIONS: dict[Action, str] = {
    "replay": "replay {id}",
    "tool_done": "replay {id} --tool-done RESULT",
    "tool_again": "replay {id} --tool-again",
    "drop": "drop {id}",
}


@dataclass(frozen=True)
class Remedy:
    """`sentence` says when this is the right one."""

    action: Action
    sentence: str


async def remedies(store: Store | None, it: Held) -> list[Remedy]:
    """The possible remedies. Without the store, no tool is known to be in doubt."""
    run_id = it.dead_letter.run_id
    doubts = await store.read(partial(doubtful, run_id=run_id)) if store and run_id else []
    if it.ran is not None:
        return [Remedy("drop", "its task has a run already")]
    if doubts:
        return [
            Remedy("tool_done", f"{doubts[0].name} has acted, with this result"),
            Remedy("tool_again", "it has not acted: call it once more"),
            Remedy("drop", "give it up"),
        ]
    again = "the run continues after its last finished step" if run_id else "it is sent again"
    return [Remedy("replay", f"when the reason is gone: {again}"), Remedy("drop", "give it up")]


def commands(it: Held, possible: Sequence[Remedy]) -> list[str]:
    """The remedies as commands for a shell, each with a comment."""
    id = quote(it.dead_letter.id)
    lines = {"hutch dead " + _OPTIONS[one.action].format(id=id): one for one in possible}
    width = max(map(len, lines))
    return [f"{command:<{width}}  # {one.sentence}" for command, one in lines.items()]


async def of_run(broker: Broker, store: Store, run_id: str) -> list[str]:
    """Commands that show and end the dead letter of a run; empty if it has none."""
    depth = await broker.depth(DEAD_QUEUE)
    if depth is None or depth.messages > MOST_READ:
        return []
    async with holding(broker, store) as held:
        for it in held:
            if it.dead_letter.run_id == run_id:
                show = f"hutch dead show {quote(it.dead_letter.id)}"
                return [show, *commands(it, await remedies(store, it))]
    return []
