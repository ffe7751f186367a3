"""`hutch send`, `trigger`, `broadcast`: a message without waiting for a response."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from services.cli import agents, options, output
from services.cli.agents import known_names
from services.cli.broker import opened_broker
from services.cli.options import At, Context, Cost, Delay, ModelCalls, Priority, Session, Tokens
from shared.client.ask import publish
from shared.contract.messages import Lineage, Task, Trigger
from shared.contract.topology import TASKS, swarm_exchange_name
from shared.settings.environment import Settings


def send(
    agent: Annotated[str, typer.Argument(help="The agent's name.", autocompletion=known_names)],
    text: Annotated[str, typer.Argument(help="What to do.")],
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
    text: Annotated[str | None, typer.Argument(help="What to do.")] = None,
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
    text: Annotated[str, typer.Argument(help="What to do.")],
) -> None:
    """Wake every member of a swarm; prints the trigger's id, for 'hutch show'."""
    settings = Settings.from_environment()
    agents.check_group(settings, group)
    message = options.message(Trigger, content=text)
    asyncio.run(_publish(settings, swarm_exchange_name(group), "", message))


def _to_agent(agent: str, message: Lineage) -> None:
    settings = Settings.from_environment()
    agents.check_agent(settings, agent)
    asyncio.run(_publish(settings, TASKS, agent, message))


async def _publish(settings: Settings, exchange: str, routing_key: str, message: Lineage) -> None:
    async with opened_broker(settings) as broker:
        await publish(broker, exchange, routing_key, message)
    output.say(message.id or "")
