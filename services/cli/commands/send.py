"""`hutch send`, `trigger`, `broadcast`: a message without waiting for a response."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from services.cli import agents, options, output
from services.cli.broker import opened_broker
from services.cli.options import Context, ModelCalls, Session, Tokens
from shared.client.ask import publish
from shared.contract.messages import Lineage, Task, Trigger
from shared.contract.topology import TASKS, swarm_exchange_name
from shared.settings.environment import Settings


def send(
    agent: Annotated[str, typer.Argument(help="Who shall do it.")],
    text: Annotated[str, typer.Argument(help="What to do.")],
    context: Context = None,
    id: Annotated[
        str | None, typer.Option(help="The task's id: sent again, it is one run.")
    ] = None,
    session: Session = None,
    model_calls: ModelCalls = None,
    tokens: Tokens = None,
) -> None:
    """Put an agent to work without waiting; prints the task's id, for 'hutch show'."""
    budget = options.budget(model_calls, tokens)
    fields = {"content": text, "context": context, "session": session, "budget": budget}
    _to_agent(agent, options.message(Task, id=id, **fields))


def trigger(
    agent: Annotated[str, typer.Argument(help="Who shall wake up.")],
    text: Annotated[str | None, typer.Argument(help="What for.")] = None,
    id: Annotated[str | None, typer.Option(help="The trigger's id: sent again, it is one.")] = None,
) -> None:
    """Wake an agent up; prints the trigger's id, for 'hutch show'."""
    _to_agent(agent, options.message(Trigger, id=id, content=text))


def broadcast(
    group: Annotated[str, typer.Argument(help="The swarm, as in its members' files.")],
    text: Annotated[str, typer.Argument(help="What for.")],
) -> None:
    """Wake every member of a swarm up; prints the trigger's id, for 'hutch show'."""
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
