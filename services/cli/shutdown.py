"""`hutch shutdown`: end an agent's processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from shared.settings import Settings

NOT_AGENTS = {"all", "scheduler"}


def shutdown(
    agent: Annotated[str, typer.Argument(help="An agent, 'scheduler', or 'all'.")],
    stop: Annotated[
        bool, typer.Option("--stop", help="Hand over what runs instead of finishing it.")
    ] = False,
) -> None:
    """End an agent's processes, ahead of any backlog; what waits in its mailbox stays there."""
    import asyncio

    from services.cli import known
    from shared.settings import Settings

    settings = Settings.from_environment()
    if agent not in NOT_AGENTS:
        known.check_agent(settings, agent)
    asyncio.run(_shutdown(settings, agent, "stop" if stop else "drain"))


async def _shutdown(settings: Settings, agent: str, mode: str) -> None:
    from services.cli import client, output
    from shared.errors import HutchError, Undeliverable
    from shared.messages import Shutdown
    from shared.topology import CONTROL

    heard = await _processes(settings, agent)
    message = client.message(Shutdown, mode=mode)
    async with client.house(settings) as broker:
        try:
            await client.publish(broker, CONTROL, f"shutdown.{agent}", message)
        except Undeliverable as error:
            whose = "" if agent == "all" else f" of '{agent}'"
            raise HutchError(f"no process{whose} runs on this broker: nothing to end") from error
    output.say(f"asked {heard} to {'stop' if mode == 'stop' else 'finish and end'}")


async def _processes(settings: Settings, agent: str) -> str:
    """Whom the shutdown will reach, in words; the store may be away without stopping it."""
    from services.cli import alive
    from shared.errors import StoreError

    if agent == "scheduler":
        return "the scheduler"
    try:
        async with alive.store(settings) as store:
            counts = await alive.replicas(store)
    except StoreError as error:
        return f"'{agent}' (how many processes is unknown: {error})"
    number = sum(counts.values()) if agent == "all" else counts.get(agent, 0)
    processes = f"{number} process{'' if number == 1 else 'es'}"
    if agent == "all":
        return f"{processes} of {len(counts)} agents, and the scheduler,"
    return f"{processes} of '{agent}'"
