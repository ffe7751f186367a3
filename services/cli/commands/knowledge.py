"""`hutch knowledge`: what is indexed of agents' documents, and what a search of it finds."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer
from pydantic_core import to_json

from services.cli import agents, output
from services.cli.agents import known_names
from services.cli.options import Json
from services.cli.store import opened_store
from shared.errors import HutchError
from shared.settings.environment import Settings
from shared.store.knowledge.documents import KNOWLEDGE, Indexed, every, knowledge_of
from shared.store.knowledge.search import Passage, search

COLUMNS = ["agent", "document", "passages", "embedded", "indexed", "fault"]

knowledge = typer.Typer(
    name="knowledge",
    no_args_is_help=True,
    add_completion=False,
    help="Show what is indexed of agents' documents, and search it.",
)


@knowledge.command()
def status(
    agent: Annotated[
        str | None,
        typer.Argument(help="Only this agent's documents.", autocompletion=known_names),
    ] = None,
    json: Json = False,
) -> None:
    """List the indexed documents; a process of an agent indexes what has changed each minute."""
    settings = Settings.from_environment()
    if agent:
        agents.check_agent(settings, agent)
    found = asyncio.run(_documents(settings, agent))
    if json:
        output.say(to_json([_fields(it) for it in found]).decode())
    elif found:
        output.show_table(COLUMNS, [_cells(it) for it in found])
    else:
        output.say("no documents: an agent's file names them, such as 'knowledge: [docs/]'")


async def _documents(settings: Settings, agent: str | None) -> list[Indexed]:
    collection = knowledge_of(agent) if agent else KNOWLEDGE
    async with opened_store(settings) as store:
        return await store.read(partial(every, collection=collection, below=not agent))


@knowledge.command("search")
def search_(
    agent: Annotated[str, typer.Argument(help="Whose documents.", autocompletion=known_names)],
    query: Annotated[str, typer.Argument(help="Words that the passages contain.")],
    limit: Annotated[int, typer.Option(min=1, max=100, help="The most passages.")] = 5,
    json: Json = False,
) -> None:
    """Print the passages that an agent would find by words, the best first."""
    settings = Settings.from_environment()
    agents.check_agent(settings, agent)
    found, embedded = asyncio.run(_passages(settings, agent, query, limit))
    if embedded:
        output.remark(f"'{agent}' also searches by meaning, which this command does not")
    if json:
        output.say(to_json([asdict(it) for it in found]).decode())
    elif found:
        output.say("\n\n".join(f"[{it.source}, passage {it.position}]\n{it.text}" for it in found))
    else:
        raise HutchError(
            f"no passage has any of these words; 'hutch knowledge status {agent}' lists the "
            "documents"
        )


async def _passages(
    settings: Settings, agent: str, query: str, limit: int
) -> tuple[list[Passage], bool]:
    """The passages, and whether the agent's documents have embeddings."""
    collection = knowledge_of(agent)
    async with opened_store(settings) as store:
        documents = await store.read(partial(every, collection=collection))
        found = await store.read(lambda db: search(db, collection, query, limit))
        return found, any(it.embedded for it in documents)


def _fields(it: Indexed) -> dict[str, object]:
    return {
        "agent": it.collection.removeprefix(KNOWLEDGE),
        "document": it.source,
        "passages": it.passages,
        "embedded": it.embedded,
        "indexed_at": it.indexed_at,
        "fault": it.fault or None,
    }


def _cells(it: Indexed) -> list[str]:
    return [
        it.collection.removeprefix(KNOWLEDGE),
        it.source,
        str(it.passages),
        str(it.embedded),
        output.list_time(datetime.fromtimestamp(it.indexed_at, UTC)),
        it.fault,
    ]
