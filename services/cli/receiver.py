"""The receiver of a message: whether it takes messages now, and those that it has not taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from services.cli import agents, output
from services.cli.broker import opened_broker
from services.cli.dead_letters.selection import all_of
from services.cli.places import start_hint
from services.cli.store import opened_store, write_fault
from shared.broker.connection import Broker
from shared.client.ask import declare_mailbox, mailbox_state
from shared.contract.topology import ALL, swarm_exchange_name
from shared.errors import HutchError, SettingsError
from shared.settings.environment import Settings
from shared.store import Store
from shared.store.messages import sent, ticks
from shared.store.messages.ticks import TickOutcome
from shared.store.processes import pauses

UNSENT_TICKS = {
    TickOutcome.SKIPPED: "not sent: the tick before it had not ended",
    TickOutcome.MISSED: "not sent: no scheduler ran at that time",
}


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
    try:
        async with opened_store(settings) as store:
            paused = await store.read(pauses.paused)
    except HutchError:
        return None
    return next((name for name in (ALL, agent) if name in paused), None)


@dataclass(frozen=True)
class Whereabouts:
    """A sentence on a message; `ended`: no agent will take it."""

    sentence: str
    ended: bool = False


async def whereabouts(settings: Settings, store: Store, key: str) -> Sequence[Whereabouts]:
    """One for each receiver of a message without a run. Empty: no client has sent such an id."""
    receivers = list(await store.read(partial(sent.receivers, message_id=key)))
    if tick := await store.read(partial(ticks.outcome, key=key)):
        agent, outcome = tick
        if outcome in UNSENT_TICKS:
            return [Whereabouts(UNSENT_TICKS[outcome], ended=True)]
        receivers.append(agent)
    if not receivers:
        return []
    try:
        refused = [it for it in await all_of(settings) if it.dead_letter.message_id == key]
    except HutchError as error:
        return [Whereabouts(f"not taken yet by {it}: {error}") for it in receivers]
    if refused:
        letter = refused[0]
        return [
            Whereabouts(
                f"not taken: {letter.reason}; see 'hutch dead show {letter.dead_letter.id}'",
                ended=True,
            )
        ]
    return [Whereabouts(await _waiting(settings, it)) for it in receivers]


async def _waiting(settings: Settings, receiver: str) -> str:
    group = receiver.removeprefix(swarm_exchange_name(""))
    if group != receiver:
        return f"no member of the swarm {group} has taken it yet"
    async with opened_broker(settings) as broker:
        reason = await obstacle(settings, broker, receiver)
    return f"not taken yet: {reason}" if reason else f"{receiver} is about to take it"
