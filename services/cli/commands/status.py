"""`hutch status`: who is at work, and what waits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated

import typer
from pydantic import TypeAdapter

from services.cli import agents as known
from services.cli import client, output
from services.cli.store import count_replicas, opened_store
from shared.broker.connection import QueueDepth, connect
from shared.contract.topology import mailbox_name
from shared.settings.environment import Settings
from shared.store.processes import pauses
from shared.store.queries.reports import Load, loads


@dataclass(frozen=True)
class AgentStatus:
    """`replicas` by their beats; `queued` and `consumers` as the broker counts its mailbox."""

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
class HouseStatus:
    """`takes_messages`: false while the broker holds publishers back, its memory or disk short."""

    agents: list[AgentStatus]
    dead_letters: int
    takes_messages: bool


def status(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show each agent's processes, its mailbox and its runs."""
    found = asyncio.run(_status(Settings.from_environment()))
    if json:
        output.say(TypeAdapter(HouseStatus).dump_json(found).decode())
        return
    columns = ["replicas", "queued", "consumers", "due", "running", "waiting", "unsent"]
    rows = [[it.agent, *(str(getattr(it, name)) for name in columns)] for it in found.agents]
    for row, it in zip(rows, found.agents, strict=True):
        row.append("paused" if it.paused else "")
    output.show_table(["agent", *(f"{name}#" for name in columns), ""], rows)
    output.say(f"dead letters: {found.dead_letters}")
    if not found.takes_messages:
        output.say("the broker takes no messages: its memory or disk is short")


async def _status(settings: Settings) -> HouseStatus:
    found = known.folder(settings)
    names = set(found.names) if found else set()
    async with (
        connect(client.address(settings), "hutch status") as broker,
        opened_store(settings) as store,
    ):
        replicas = await count_replicas(store)
        load = await store.read(loads)
        paused = await store.read(pauses.paused)
        agents = []
        for name in sorted(names | set(replicas) | set(load)):
            depth = await broker.depth(mailbox_name(name)) or QueueDepth(0, 0)
            has = load.get(name, Load())
            counts = (depth.messages, depth.consumers, has.due, has.running, has.waiting)
            held = bool(paused & {name, pauses.ALL})
            agents.append(AgentStatus(name, replicas[name], *counts, has.unsent, held))
        dead = await broker.depth("dead")
        takes_messages = await broker.takes_messages()
    return HouseStatus(agents, dead.messages if dead else 0, takes_messages)
