"""`hutch dead`: list, show, replay and drop dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence
from typing import Annotated

import typer
from pydantic_core import from_json, to_json

from services.cli import dead_letters, output
from services.cli.agents import known_names
from services.cli.broker import address
from services.cli.options import Json
from services.cli.places import store_place
from shared.broker.dead_letters import Fault
from shared.client.dead_letters import replay as replaying
from shared.client.dead_letters.remedies import commands, remedies
from shared.client.dead_letters.selection import Choice, Held
from shared.errors import HutchError, SettingsError, StoreError
from shared.settings.environment import Settings
from shared.settings.secrets import shown_url
from shared.store.runs.replay import InDoubtDecision

SPARE = ["kept in", "attempts", "run"]
"""What is left out first on a narrow terminal: 'hutch dead show' has it."""
COLUMNS = ["id", "agent", "attempts#", "given up", "run", "kept in", "reason"]
SHORT = 12
"""Characters of an id: enough to distinguish dead letters, and every command accepts it."""
AGENT_CHARS = 40
"""The longest name of an agent; a routing key in its place is cut at this length."""

dead = typer.Typer(
    name="dead",
    no_args_is_help=True,
    add_completion=False,
    help="List, show, replay and drop dead letters.\n\n"
    "A dead letter is a message that could not be processed.",
)

ID_HELP = "A dead letter's id or its beginning, or the id of its task."

Id = Annotated[str | None, typer.Argument(help=ID_HELP)]
Agent = Annotated[
    str | None, typer.Option(help="Only dead letters for this agent.", autocompletion=known_names)
]
Reason = Annotated[str | None, typer.Option(help="Only those whose reason contains this text.")]
All = Annotated[bool, typer.Option("--all", help="All dead letters.")]


@dead.command("list")
def list_(agent: Agent = None, reason: Reason = None, json: Json = False) -> None:
    """List dead letters, the oldest first."""
    found = _picked(Choice(agent=agent, reason=reason, every=True))
    if json:
        output.say(_json([_fields(it) for it in found]))
    elif found:
        output.show_table(COLUMNS, [_cells(it) for it in found], spare=SPARE)
    else:
        output.say("no dead letters" if not agent and not reason else "no such dead letter")
    if not found:
        settings = Settings.from_environment()
        broker, store = shown_url(address(settings)), store_place(settings, "dead list")
        output.remark(f"looked in the broker {broker}, and in {store}")


@dead.command()
def show(
    id: Annotated[str, typer.Argument(help=ID_HELP)],
    json: Json = False,
) -> None:
    """Show a dead letter with its reason, its origin and its body, and what to do about it."""
    found, lines = asyncio.run(_found(Settings.from_environment(), Choice(id=id)))
    if json:
        output.say(_json(_fields(found)))
        return
    for line in _lines(found):
        output.say(line)
    output.say("\n".join(["\nnext", *lines]))


async def _found(settings: Settings, choice: Choice) -> tuple[Held, list[str]]:
    """The dead letter, and the commands that can follow."""
    async with dead_letters.opened(settings) as (_, store, held):
        it = choice.of(held)[0]
        return it, commands(it, await remedies(store, it))


@dead.command()
def replay(
    id: Id = None,
    agent: Agent = None,
    reason: Reason = None,
    every: All = False,
    tool_done: Annotated[
        str | None, typer.Option(help="The tool call in doubt had an effect; this is its result.")
    ] = None,
    tool_again: Annotated[
        bool, typer.Option("--tool-again", help="Make the tool call in doubt once more.")
    ] = False,
) -> None:
    """Retry: a run continues after its last finished step, a message goes to its queue again."""
    choice = Choice(id, agent, reason, every)
    decision = _decision(choice, tool_done, tool_again)
    asyncio.run(_replay(Settings.from_environment(), choice, decision))


def _decision(choice: Choice, result: str | None, again: bool) -> InDoubtDecision | None:
    """The operator's decision on a tool call in doubt; None if the options contain none.

    Raises `SettingsError` for contradicting options, and for one result for several dead letters.
    """
    if result is None:
        return InDoubtDecision(None) if again else None
    if again:
        raise SettingsError("--tool-done and --tool-again exclude each other")
    if choice.id is None:
        raise SettingsError("--tool-done is the result of one call: name one dead letter")
    return InDoubtDecision(result)


async def _replay(settings: Settings, choice: Choice, decision: InDoubtDecision | None) -> None:
    """Replay the chosen dead letters, and print a line for each.

    Raises `HutchError` with a line for each of those that can't be replayed.
    """
    faults = []
    async with dead_letters.opened(settings) as (broker, store, held):
        if store is None:
            raise StoreError("nothing is replayed without the store, which has the runs")
        chosen = choice.of(held)
        for it in chosen:
            try:
                output.say(await replaying.replay(broker, store, it, decision))
            except HutchError as error:
                faults.append(str(error))
    if faults:
        raise HutchError("\n".join(faults))
    if not chosen:
        output.say("no such dead letter")


@dead.command()
def drop(
    id: Id = None,
    agent: Agent = None,
    reason: Reason = None,
    every: All = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> None:
    """Delete dead letters permanently; asks first if it is more than one."""
    choice = Choice(id, agent, reason, every)
    chosen = {found.dead_letter.id for found in _picked(choice)}
    if len(chosen) > 1 and not yes:
        _confirm(len(chosen))
    dropped = asyncio.run(_drop(Settings.from_environment(), chosen))
    output.say(f"dropped {dropped} dead letter{'' if dropped == 1 else 's'}")


def _confirm(number: int) -> None:
    try:
        sure = typer.confirm(f"drop {number} dead letters for good?")
    except typer.Abort as error:  # stdin is empty, as it is through a gateway
        raise SettingsError(f"{number} dead letters would be dropped: add --yes") from error
    if not sure:
        raise typer.Abort


async def _drop(settings: Settings, ids: Collection[str]) -> int:
    """Delete these dead letters; returns the number of those that still existed."""
    async with dead_letters.opened(settings) as (_, __, found):
        chosen = [it for it in found if it.dead_letter.id in ids]
        for it in chosen:
            await it.remove()
    return len({it.dead_letter.id for it in chosen})


def _picked(choice: Choice) -> Sequence[Held]:
    return choice.of(asyncio.run(dead_letters.all_of(Settings.from_environment())))


def _cells(it: Held) -> list[str]:
    dead_letter = it.dead_letter
    return [
        dead_letter.id[:SHORT],
        dead_letter.agent[:AGENT_CHARS],
        "" if dead_letter.attempts is None else str(dead_letter.attempts),
        output.list_time(dead_letter.last.at) if dead_letter.last.at else "",
        dead_letter.run_id[:SHORT],
        it.place,
        it.reason,
    ]


def _lines(it: Held) -> Iterator[str]:
    """The lines that show a dead letter; its body is last, with JSON indented."""
    dead_letter = it.dead_letter
    yield f"dead letter {dead_letter.id}, for {dead_letter.agent or 'an unknown agent'}"
    if it.ran is not None:
        yield it.reason
    if it.place == "store":
        yield "kept in the store: the queue 'dead' did not take it"
    yield f"given up {_given_up(dead_letter.last)}"
    if dead_letter.first != dead_letter.last:
        yield f"failed first {_given_up(dead_letter.first)}"
    facts = {
        "attempts": dead_letter.attempts,
        "queue": dead_letter.queue,
        "routing key": dead_letter.routing_key,
        "sender": dead_letter.sender,
        "message id": dead_letter.message_id,
        "run": dead_letter.run_id
        and f"{dead_letter.run_id}, epoch {dead_letter.epoch}: see 'hutch show'",
        "reply to": dead_letter.reply_to,
        "correlation id": dead_letter.correlation_id,
        "content type": dead_letter.content_type,
        "instance": dead_letter.instance,
    }
    yield from (f"{name}: {value}" for name, value in facts.items() if value not in {None, ""})
    yield f"\nbody\n{_indented(dead_letter.body)}"


def _fields(it: Held) -> dict[str, object]:
    """A dead letter's fields for JSON: the body is text, with bytes that are not UTF-8 replaced."""
    dead_letter = it.dead_letter
    body = dead_letter.body.decode("utf-8", "replace")
    added = {"agent": dead_letter.agent, "body": body, "place": it.place, "ran": it.ran}
    return {**vars(dead_letter), **added}


def _given_up(fault: Fault) -> str:
    return f"{output.local_time(fault.at)}: {fault.reason}" if fault.at else fault.reason


def _indented(body: bytes) -> str:
    try:
        return to_json(from_json(body), indent=2).decode()
    except ValueError:
        return body.decode("utf-8", "replace")


def _json(value: object) -> str:
    return to_json(value).decode()
