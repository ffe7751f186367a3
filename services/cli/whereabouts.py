"""What became of a message that has no run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from services.cli.broker import opened_broker
from services.cli.dead_letters import all_of
from services.cli.receiver import obstacle
from shared.contract.topology import swarm_exchange_name
from shared.errors import HutchError
from shared.settings.environment import Settings
from shared.store import Store
from shared.store.messages import sent, ticks
from shared.store.messages.ticks import TickOutcome

UNSENT_TICKS = {
    TickOutcome.SKIPPED: "not sent: the tick before it had not ended",
    TickOutcome.MISSED: "not sent: no scheduler ran at that time",
}


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
