"""`hutch status`: the agents' processes, mailboxes and runs, counted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pydantic import TypeAdapter

from services.cli import output
from services.cli.agents import folder
from services.cli.broker import address
from services.cli.options import Json
from services.cli.store import count_replicas, opened_store
from shared.broker.connection import QueueDepth, connect
from shared.contract.topology import ALL, mailbox_name
from shared.settings.environment import Settings
from shared.store.processes import pauses
from shared.store.queries.reports import Load, loads


@dataclass(frozen=True)
class AgentStatus:
    """One agent's line: `replicas` are counted by heartbeats, `queued` and `consumers` by the
    broker."""

    agent: str
    replicas: int
    queued: int
    consumers: int
    due: int
    running: int
    waiting: int
    unsent: int
    paused: bool


@dataclass(frozen=True)
class SystemStatus:
    """All agents, and the broker's state: `takes_messages` is false while the broker blocks
    publishers because its memory or disk is short."""

    agents: list[AgentStatus]
    dead_letters: int
    takes_messages: bool


def status(
    json: Json = False,
) -> None:
    """Show each agent's processes, its mailbox and its runs."""
    found = asyncio.run(_status(Settings.from_environment()))
    if json:
        output.say(TypeAdapter(SystemStatus).dump_json(found).decode())
        return
    columns = ["replicas", "queued", "consumers", "due", "running", "waiting", "unsent"]
    rows = [[it.agent, *(str(getattr(it, name)) for name in columns)] for it in found.agents]
    for row, it in zip(rows, found.agents, strict=True):
        row.append("paused" if it.paused else "")
    output.show_table(["agent", *(f"{name}#" for name in columns), ""], rows)
    output.say(f"dead letters: {found.dead_letters}")
    if not found.takes_messages:
        output.say("the broker takes no messages: its memory or disk is short")


async def _status(settings: Settings) -> SystemStatus:
    found = folder(settings)
    names = set(found.names) if found else set()
    async with (
        connect(address(settings), "hutch status") as broker,
        opened_store(settings) as store,
    ):
        replicas = await count_replicas(store)
        load = await store.read(loads)
        paused = await store.read(pauses.paused)
        agents = []
        for name in sorted(names | set(replicas) | set(load)):
            depth = await broker.depth(mailbox_name(name)) or QueueDepth(0, 0)
            runs = load.get(name, Load())
            counts = (depth.messages, depth.consumers, runs.due, runs.running, runs.waiting)
            is_paused = bool(paused.keys() & {name, ALL})
            agents.append(AgentStatus(name, replicas[name], *counts, runs.unsent, is_paused))
        dead = await broker.depth("dead")
        takes_messages = await broker.takes_messages()
    return SystemStatus(agents, dead.messages if dead else 0, takes_messages)
