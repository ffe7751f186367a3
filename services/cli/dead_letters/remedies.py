"""What an operator can type about a dead letter."""

from __future__ import annotations

from functools import partial
from shlex import quote

from services.cli.dead_letters.selection import Held, holding
from shared.broker.connection import Broker
from shared.contract.topology import DEAD_QUEUE
from shared.store import Store
from shared.store.runs.tool_starts import doubtful

MOST_READ = 1000
"""With more dead letters than this, they are counted, but not read: that would take seconds."""


async def remedies(store: Store | None, it: Held) -> list[str]:
    """Commands for a shell, each with a comment. Without the store, no tool is known to be in
    doubt."""
    id = quote(it.dead_letter.id)
    run_id = it.dead_letter.run_id
    doubts = await store.read(partial(doubtful, run_id=run_id)) if store and run_id else []
    replay, drop = f"hutch dead replay {id}", f"hutch dead drop {id}"
    if it.ran is not None:
        return _aligned({drop: "its task has a run already"})
    if doubts:
        return _aligned(
            {
                f"{replay} --tool-done RESULT": f"{doubts[0].name} has acted, with this result",
                f"{replay} --tool-again": "it has not acted: call it once more",
                drop: "give it up",
            }
        )
    again = "the run continues after its last finished step" if run_id else "it is sent again"
    return _aligned({replay: f"when the reason is gone: {again}", drop: "give it up"})


async def of_run(broker: Broker, store: Store, run_id: str) -> list[str]:
    """How to see and to end the dead letter of a run; empty if it has none."""
    depth = await broker.depth(DEAD_QUEUE)
    if depth is None or depth.messages > MOST_READ:
        return []
    async with holding(broker, store) as held:
        for it in held:
            if it.dead_letter.run_id == run_id:
                show = f"hutch dead show {quote(it.dead_letter.id)}"
                return [show, *await remedies(store, it)]
    return []


def _aligned(commands: dict[str, str]) -> list[str]:
    width = max(map(len, commands))
    return [f"{command:<{width}}  # {comment}" for command, comment in commands.items()]
