"""`hutch watch`: the events of agents, live."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Annotated

import typer

from services.cli import agents, output, task_tree
from services.cli.agents import known_names
from services.cli.broker import opened_broker
from services.cli.options import Json
from shared.client.events import received, subscribe
from shared.contract.messages import Event
from shared.settings.environment import Settings

SHORT = 12
"""Characters of a run's id, which 'hutch show' accepts."""

LINES = task_tree.LINES | {
    "run.taken": "takes the run",
    "run.waiting": "waits for its workers",
    "run.running": "continues",
    "run.parked": "is parked until a person decides",
    "model.called": "has called its model: {input_tokens} tokens in, {output_tokens} out",
    "budget.overshot": "has spent more than its budget",
    "usage.capped": "counts only the share of {worker}, which reports that it has used more",
    "tasks.limit": "refuses tasks of {cause} for a minute: more than {limit} of them have come",
    "note.heard": "has heard a broadcast of {peer}",
    "hops.limit": "does not react to {peer}: broadcasts have caused each other {hops} times",
    "message.dead": "gives a message up, see 'hutch dead list': it came from {queue}",
    "agent.paused": "is paused",
    "agent.unpaused": "is not paused any more",
    "instance.started": "has started a process",
    "instance.ended": "has ended a process",
}


def watch(
    agent: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this agent's events; give it again for several.",
            autocompletion=known_names,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Print what agents do, while they do it, until Ctrl-C.

    Each line has the local time, the run, the agent and what has happened. It changes nothing.
    Events are lost while the connection to the broker is.
    """
    settings = Settings.from_environment()
    for name in agent or ():
        agents.check_agent(settings, name)
    asyncio.run(_watch(settings, agent or (), json))


async def _watch(settings: Settings, names: Collection[str], json: bool) -> None:
    async with opened_broker(settings) as broker:
        consumer = await subscribe(broker, names)
        output.remark("watching; Ctrl-C ends it")
        async for event in received(consumer, Event):
            output.say(event.model_dump_json() if json else line(event))


def line(event: Event) -> str:
    run = (event.run_id or "")[:SHORT]
    what = task_tree.sentence(event, LINES)
    return f"{output.clock_time(event.at)}  {run:{SHORT}}  {event.agent}  {what}"
