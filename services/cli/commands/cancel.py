"""`hutch cancel`: stop a task, and all that it has caused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from services.cli import agents, client, output
from services.cli.commands.show import only
from services.cli.store import opened_store
from shared.contract.messages import Cancel, run_id
from shared.contract.topology import CONTROL, cancel_key
from shared.errors import BrokerError, HutchError, Undeliverable
from shared.settings.environment import Settings
from shared.store import Store
from shared.store.queries import reports
from shared.store.queries.reports import Row
from shared.store.runs import cancels

SHORTEST = 8
"""Of a run's id: fewer characters could be the id of a task that is still to come."""

WAIT_S = 5.0
"""Until it is said that the end takes longer; with a living process it takes about one second."""

LOOK_S = 0.1


def cancel(
    id: Annotated[str, typer.Argument(help="A task's id, a run's id or its beginning.")],
    agent: Annotated[
        str | None, typer.Option(help="Whose task; needed for one that has not come yet.")
    ] = None,
) -> None:
    """Stop a task's run and every run that it has caused, wherever they run.

    One that has not come yet ends when it comes. One that has ended stays as it is.
    """
    settings = Settings.from_environment()
    if agent is not None:
        agents.check_agent(settings, agent)
    order = client.message(Cancel, task_id=id)
    output.say(asyncio.run(_cancel(settings, agent, order)))


async def _cancel(settings: Settings, agent: str | None, order: Cancel) -> str:
    """What has become of it, in words."""
    async with opened_store(settings) as store:
        found = await store.read(lambda connection: reports.find(connection, order.task_id))
        row = meant(order.task_id, agent, found)
        name, task_id = (row.agent, row.task_id) if row else (agent or "", order.task_id)
        run = run_id(name, task_id)
        if not await store.write(run, lambda connection: cancels.ask(connection, name, task_id)):
            return f"task {task_id} of {name} has ended: nothing to cancel"
        heard = await _tell(settings, name, order.model_copy(update={"task_id": task_id}))
        if row is None:
            return f"task {task_id} of {name} is not known yet: it is cancelled when it comes"
        if not heard:
            return f"task {task_id} is cancelled, and ends when a process of {name} runs again"
        return await _ended(store, row)


def meant(key: str, agent: str | None, found: Sequence[Row]) -> Row | None:
    """The run that is meant; None: one of the agent's that has not come yet.

    Raises `HutchError` when it can't be told whose it is.
    """
    of_agent = [row for row in found if agent in {None, row.agent}]
    exact = [row for row in of_agent if key in {row.task_id, row.run_id}]
    if exact or (of_agent and len(key) >= SHORTEST):
        return only(key, exact or of_agent)
    if agent is None:
        raise HutchError(
            f"no run and no task has the id '{key}': name the agent with --agent, "
            "and it is cancelled when it comes"
        )
    return None


async def _tell(settings: Settings, agent: str, order: Cancel) -> bool:
    """The fast way; without it a process finds the row by itself. False: there is no process."""
    try:
        async with client.house(settings) as broker:
            await client.publish(broker, CONTROL, cancel_key(agent), order)
    except Undeliverable:
        return False
    except BrokerError as error:
        output.remark(f"only the store was told, which takes a little longer: {error}")
    return True


async def _ended(store: Store, row: Row) -> str:
    until = asyncio.get_running_loop().time() + WAIT_S
    while asyncio.get_running_loop().time() < until:
        (now,) = await store.read(lambda connection: reports.find(connection, row.run_id))
        if now.ended_at is not None:
            return f"task {row.task_id} of {row.agent} has ended: {now.status}"
        await asyncio.sleep(LOOK_S)
    return (
        f"task {row.task_id} of {row.agent} is cancelled, but has not ended yet: "
        f"'hutch show {row.run_id[:12]}' tells later"
    )
