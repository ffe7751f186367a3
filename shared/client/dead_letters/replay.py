"""Replaying dead letters. An interrupted replay can be repeated safely."""

from __future__ import annotations

from pydantic_core import from_json

from services.cli import output
from services.cli.dead_letters.selection import Choice, Held, opened
from shared.broker.connection import Broker
from shared.broker.dead_letters import DeadLetter
from shared.definitions.model import Definition
from shared.errors import HutchError, SettingsError, StoreError
from shared.settings.environment import Settings
from shared.store import Store
from shared.store.runs.replay import Decision, Replayed, definition_of
from shared.store.runs.replay import replay as replay_run


def decision(choice: Choice, result: str | None, again: bool) -> Decision | None:
    """The operator's decision on a tool call in doubt; None if the options contain none.

    Raises `SettingsError` for contradicting options, and for one result for several dead letters.
    """
    if result is None:
        return Decision(None) if again else None
    if again:
        raise SettingsError("--tool-done and --tool-again exclude each other")
    if choice.id is None:
        raise SettingsError("--tool-done is the result of one call: name one dead letter")
    return Decision(result)


async def replay(settings: Settings, choice: Choice, decision: Decision | None) -> None:
    """Replay and remove the chosen dead letters, and print a line for each.

    Those that can't be replayed stay; then raises `HutchError` with a line for each of them.
    """
    faults = []
    async with opened(settings) as (broker, store, held):
        if store is None:
            raise StoreError("nothing is replayed without the store, which has the runs")
        chosen = choice.of(held)
        for it in chosen:
            try:
                output.say(await _replay(broker, store, it, decision))
                await it.remove()  # a second replay of one that stays has no effect
            except HutchError as error:
                faults.append(str(error))
    if faults:
        raise HutchError("\n".join(faults))
    if not chosen:
        output.say("no such dead letter")


async def _replay(broker: Broker, store: Store, it: Held, decision: Decision | None) -> str:
    """Replay one dead letter; returns a sentence on the outcome."""
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


async def _run_again(store: Store, dead_letter: DeadLetter, decision: Decision | None) -> Replayed:
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
