"""`hutch cancel`: cancel a task and every run that it has caused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import typer

from services.cli import agents, options, output
from services.cli.agents import known_names
from services.cli.broker import opened_broker
from services.cli.store import only_run, opened_store, polled
from shared.client.cancel import publish_cancel, write_cancel
from shared.contract.messages import Cancel
from shared.definitions.model import is_name
from shared.errors import BrokerError, HutchError
from shared.settings.environment import Settings
from shared.store import Store
from shared.store.messages import sent
from shared.store.queries import reports
from shared.store.queries.reports import SHORTEST_TO_CANCEL, Row

WAIT_S = 5.0
"""How long the command waits for the run's end; a living process needs about a second."""


def cancel(
    id: Annotated[str, typer.Argument(help="A task's id, or a run's id or its beginning.")],
    agent: Annotated[
        str | None,
        typer.Option(
            help="The task's agent; needed before the task has arrived.",
            autocompletion=known_names,
        ),
    ] = None,
) -> None:
    """Cancel a task's run and every run that it has caused, in all processes.

    A task that has not arrived yet is cancelled when it arrives. A run that has ended is unchanged.
    """
    settings = Settings.from_environment()
    if agent is not None:
        agents.check_agent(settings, agent)
    message = options.message(Cancel, task_id=id)
    output.say(asyncio.run(_cancel(settings, agent, message)))


async def _cancel(settings: Settings, agent: str | None, message: Cancel) -> str:
    """Write the cancel to the store, so that it can't be lost, then publish it, so that it is fast.

    Returns a sentence on the outcome.
    """
    async with opened_store(settings) as store:
        found = await store.read(lambda connection: reports.find(connection, message.task_id))
        if agent is None and not found:
            agent = await _receiver(store, message.task_id)
        row = cancelled_run(message.task_id, agent, found)
        name, task_id = (row.agent, row.task_id) if row else (agent or "", message.task_id)
        if not await write_cancel(store, name, task_id):
            return f"task {task_id} of {name} has ended: nothing to cancel"
        received = await _publish(settings, name, message.model_copy(update={"task_id": task_id}))
        if row is None:
            return f"task {task_id} of {name} is not known yet: it is cancelled when it comes"
        if not received:
            return f"task {task_id} is cancelled, and ends when a process of {name} runs again"
        return await _end_of(store, row)


async def _receiver(store: Store, task_id: str) -> str | None:
    """The agent to which a client has sent this task; None if there is none, or more than one."""
    found = await store.read(partial(sent.receivers, message_id=task_id))
    return found[0] if len(found) == 1 and is_name(found[0]) else None


def cancelled_run(key: str, agent: str | None, found: Sequence[Row]) -> Row | None:
    """The run that the id means; None if it is a task of `agent` that has not arrived yet.

    Raises `HutchError` for an id that means several runs, or none if no agent is named.
    """
    of_agent = [row for row in found if agent in {None, row.agent}]
    exact = [row for row in of_agent if key in {row.task_id, row.run_id}]
    if exact or (of_agent and len(key) >= SHORTEST_TO_CANCEL):
        return only_run(key, exact or of_agent)
    if agent is None:
        raise HutchError(
            f"no run and no task has the id '{key}': name the agent with --agent, "
            "and it is cancelled when it comes"
        )
    return None


async def _publish(settings: Settings, agent: str, message: Cancel) -> bool:
    """Publish a cancel; False if the agent has no process.

    Without a broker, the agent's processes find the stored cancel.
    """
    try:
        async with opened_broker(settings) as broker:
            return await publish_cancel(broker, agent, message)
    except BrokerError as error:
        output.remark(f"only the store has the command, which takes a little longer: {error}")
        return True


async def _end_of(store: Store, row: Row) -> str:
    ended = partial(reports.ended, run_id=row.run_id)
    if now := await polled(lambda: store.read(ended), WAIT_S):
        return f"task {row.task_id} of {row.agent} has ended: {now.status}"
    return (
        f"task {row.task_id} of {row.agent} is cancelled, but has not ended yet: "
        f"'hutch show {row.run_id[:12]}' shows its end"
    )
