"""Replaying dead letters. An interrupted replay can be repeated safely."""

from __future__ import annotations

from pydantic_core import from_json

from shared.broker.connection import Broker
from shared.broker.dead_letters import DeadLetter
from shared.client.dead_letters.selection import Held
from shared.definitions.model import Definition
from shared.errors import HutchError
from shared.store import Store
from shared.store.runs.replay import InDoubtDecision, Replayed, definition_of
from shared.store.runs.replay import replay as replay_run


async def replay(broker: Broker, store: Store, it: Held, decision: InDoubtDecision | None) -> str:
    """Replay a dead letter and remove it; returns a sentence on the outcome.

    `decision` is on its tool call in doubt, if it has one. Raises `HutchError` if it can't be
    replayed, and it stays.
    """
    outcome = await _replay(broker, store, it, decision)
    await it.remove()  # a second replay of one that stays has no effect
    return outcome


async def _replay(broker: Broker, store: Store, it: Held, decision: InDoubtDecision | None) -> str:
    dead_letter = it.dead_letter
    if it.ran is not None:
        return f"{dead_letter.id}: {it.reason}: removed"
    if dead_letter.run_id:
        outcome = await _run_again(store, dead_letter, decision)
        if outcome is Replayed.AGAIN:
            return f"{dead_letter.id}: the run goes on in epoch {dead_letter.epoch + 1}"
        if outcome is Replayed.EARLIER:
            return f"{dead_letter.id}: the run had been replayed before"
    message = dead_letter.original()
    await broker.publisher.publish(message)
    return f"{dead_letter.id}: sent to {dead_letter.agent} again, as {message.message_id}"


async def _run_again(
    store: Store, dead_letter: DeadLetter, decision: InDoubtDecision | None
) -> Replayed:
    run_id, epoch = dead_letter.run_id, dead_letter.epoch
    body = await store.read(lambda connection: definition_of(connection, run_id))
    if body is None:
        return Replayed.FORGOTTEN
    try:
        limits = Definition.model_validate(from_json(body)["definition"]).limits
    except (ValueError, TypeError, KeyError) as error:
        raise HutchError(
            f"{dead_letter.id}: run {run_id} can't be replayed: its definition can't be read"
        ) from error
    timeout_s = limits.timeout.total_seconds()
    return await store.write(
        run_id, lambda connection: replay_run(connection, run_id, epoch, timeout_s, decision)
    )
