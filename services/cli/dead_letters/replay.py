"""What `hutch dead replay` does with each letter; interrupted anywhere, it may be done again."""

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


def decision(choice: Choice, done: str | None, again: bool) -> Decision | None:
    """Raises `SettingsError` for a result that would be taken for several calls' or for none's."""
    if done is None:
        return Decision(None) if again else None
    if again:
        raise SettingsError("--tool-done and --tool-again exclude each other")
    if choice.id is None:
        raise SettingsError("--tool-done is the result of one call: name the letter")
    return Decision(done)


async def replay(settings: Settings, choice: Choice, decision: Decision | None) -> None:
    """Raises `HutchError` with a line for each letter that could not be replayed; it stays."""
    faults = []
    async with opened(settings) as (broker, store, held):
        if store is None:
            raise StoreError("nothing is replayed without the store: it knows the runs")
        chosen = choice.of(held)
        for it in chosen:
            try:
                output.say(await _again(broker, store, it, decision))
                await it.remove()  # where it stays, it can be replayed again: twice is once
            except HutchError as error:
                faults.append(str(error))
    if faults:
        raise HutchError("\n".join(faults))
    if not chosen:
        output.say("no such dead letter")


async def _again(broker: Broker, store: Store, it: Held, decision: Decision | None) -> str:
    """A sentence on what was done."""
    letter = it.letter
    if it.ran is not None:
        return f"{letter.id}: {it.reason}: removed"
    if letter.run_id:
        outcome = await _run_again(store, letter, decision)
        if outcome is Replayed.AGAIN:
            return f"{letter.id}: the run goes on in epoch {letter.epoch + 1}"
        if outcome is Replayed.EARLIER:
            return f"{letter.id}: the run had been replayed before"
    message = letter.again()
    await broker.publisher.publish(message)
    return f"{letter.id}: sent to {letter.agent} again, as {message.message_id}"


async def _run_again(store: Store, letter: DeadLetter, decision: Decision | None) -> Replayed:
    run_id, epoch = letter.run_id, letter.epoch
    body = await store.read(lambda connection: definition_of(connection, run_id))
    if body is None:
        return Replayed.FORGOTTEN
    try:
        limits = Definition.model_validate(from_json(body)["definition"]).limits
    except (ValueError, TypeError, KeyError) as error:
        said = f"{letter.id}: run {run_id} can't be replayed: its definition can't be read"
        raise HutchError(said) from error
    timeout_s = limits.timeout.total_seconds()
    return await store.write(
        run_id, lambda connection: replay_run(connection, run_id, epoch, timeout_s, decision)
    )
