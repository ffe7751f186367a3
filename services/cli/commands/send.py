"""`hutch send`, `trigger`, `broadcast`: a message without waiting for a response."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from services.cli import agents, options, output, receiver
from services.cli.agents import known_names
from services.cli.broker import opened_broker
from services.cli.options import (
    At,
    Context,
    Cost,
    Delay,
    ModelCalls,
    Priority,
    Session,
    TaskText,
    Tokens,
    TriggerText,
)
from services.cli.store import record_sent
from shared.client.ask import publish
from shared.contract.messages import Lineage, Task, Trigger
from shared.contract.topology import TASKS, swarm_exchange_name
from shared.definitions.model import is_name
from shared.errors import HutchError, SettingsError
from shared.settings.environment import Settings


def send(
    agent: Annotated[str, typer.Argument(help="The agent's name.", autocompletion=known_names)],
    text: TaskText,
    context: Context = None,
    id: Annotated[
        str | None, typer.Option(help="The task's id: sent twice, it is run once.")
    ] = None,
    session: Session = None,
    model_calls: ModelCalls = None,
    tokens: Tokens = None,
    cost: Cost = None,
    delay: Delay = None,
    at: At = None,
    priority: Priority = None,
) -> None:
    """Give an agent a task without waiting; prints the task's id, for 'hutch show'."""
    budget = options.budget(model_calls, tokens, cost)
    start = options.not_before(delay, at, session)
    fields = {"content": text, "context": context, "session": session, "budget": budget}
    _to_agent(agent, options.message(Task, id=id, not_before=start, priority=priority, **fields))


def trigger(
    agent: Annotated[str, typer.Argument(help="The agent's name.", autocompletion=known_names)],
    text: TriggerText = None,
    id: Annotated[
        str | None, typer.Option(help="The trigger's id: sent twice, it is run once.")
    ] = None,
    delay: Delay = None,
    at: At = None,
    priority: Priority = None,
) -> None:
    """Wake an agent; prints the trigger's id, for 'hutch show'."""
    start = options.not_before(delay, at)
    _to_agent(
        agent, options.message(Trigger, id=id, content=text, not_before=start, priority=priority)
    )


def broadcast(
    group: Annotated[str, typer.Argument(help="The swarm, as in its members' files.")],
    text: TaskText,
) -> None:
    """Wake every member of a swarm; prints the trigger's id, for 'hutch show'."""
    if not is_name(group):
        raise SettingsError(f"'{group}' can be no swarm's name: it is like research")
    message = options.message(Trigger, content=text)
    asyncio.run(_broadcast(Settings.from_environment(), group, message))


def _to_agent(agent: str, message: Task | Trigger) -> None:
    agents.check_name(agent)
    asyncio.run(_send(Settings.from_environment(), agent, message))


async def _send(settings: Settings, agent: str, message: Task | Trigger) -> None:
    async with opened_broker(settings) as broker:
        await receiver.check_receiver(settings, broker, agent)
        await publish(broker, TASKS, agent, message)
        obstacle = await receiver.obstacle(settings, broker, agent)
    await _record(settings, agent, message)
    if start := message.not_before:
        output.remark(f"it starts at {output.local_time(start)}")
    if obstacle:
        output.remark(obstacle)


async def _broadcast(settings: Settings, group: str, message: Lineage) -> None:
    exchange, unknown = swarm_exchange_name(group), agents.unknown_swarm(settings, group)
    async with opened_broker(settings) as broker:
        if not await broker.has_exchange(exchange):
            if unknown:
                raise SettingsError(unknown)
            raise HutchError(f"no agent of the swarm '{group}' has run on this broker: start one")
        if unknown:  # its members' files may be on another machine
            output.remark(unknown)
        await publish(broker, exchange, "", message)
    await _record(settings, exchange, message)


async def _record(settings: Settings, to: str, message: Lineage) -> None:
    """Record a sent message for 'hutch show', and print its id."""
    if fault := await record_sent(settings, message.id or "", to):
        output.remark(f"until an agent has taken it, 'hutch show' does not know it: {fault}")
    output.say(message.id or "")
