"""The receiver of a message: whether it takes messages now.

The store is imported only to find out why a message waits: 'hutch ask' starts in two thirds of the
time without it.
"""

from __future__ import annotations

from services.cli import agents, output
from services.cli.places import start_hint
from shared.broker.connection import Broker
from shared.client.ask import declare_mailbox, mailbox_state
from shared.contract.topology import ALL
from shared.errors import HutchError, SettingsError
from shared.settings.environment import Settings


async def check_receiver(settings: Settings, broker: Broker, agent: str) -> None:
    """Make sure that a message to the agent waits for it or is answered.

    An agent of the folder that has never run gets its mailbox now. Raises `SettingsError` for an
    agent that has neither a mailbox nor a file in the folder; without a folder here, the processes
    that run answer for it.
    """
    unknown = agents.unknown_agent(settings, agent)
    if (await mailbox_state(broker, agent)).queued is not None:
        if unknown:  # its file may be on another machine
            output.remark(unknown)
    elif unknown:
        raise SettingsError(unknown)
    elif agents.folder(settings):
        await declare_mailbox(broker, agent)


async def obstacle(settings: Settings, broker: Broker, agent: str) -> str | None:
    """Why the agent takes no message at once, in a sentence without its end.

    None if a process takes messages and none waits, and for a name that only the answer can
    explain.
    """
    state = await mailbox_state(broker, agent)
    number = "1 message waits" if state.queued == 1 else f"{state.queued} messages wait"
    if state.consumed:
        return f"{number} in the mailbox of {agent}" if state.queued else None

    from shared.client.system.store_fault import write_fault

    waiting = f"; {number} in its mailbox" if state.queued else ""
    if pause := await _pause_of(settings, agent):
        dead = "" if state.alive else "; no process of it is alive"
        return f"{agent} is paused: 'hutch unpause {pause}' ends the pause{dead}{waiting}"
    if state.alive and (fault := await write_fault(settings)):
        return f"{fault}{waiting}"
    if state.alive:
        return f"{agent} is busy and takes no more messages now{waiting}"
    if state.queued is not None:
        return f"no process of {agent} is alive: {start_hint(settings, agent)}{waiting}"
    unknown = agents.unknown_agent(settings, agent)
    return None if unknown else f"{agent} has never run: {start_hint(settings, agent)}"


async def _pause_of(settings: Settings, agent: str) -> str | None:
    """The name under which the agent is paused: its own or `ALL`; None also without a store."""
    from services.cli.store import opened_store
    from shared.store.processes import pauses

    try:
        async with opened_store(settings) as store:
            paused = await store.read(pauses.paused)
    except HutchError:
        return None
    return next((name for name in (ALL, agent) if name in paused), None)
