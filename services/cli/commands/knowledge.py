"""`hutch knowledge`: what is indexed of agents' documents, and what a search of it finds."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer
from pydantic import TypeAdapter
from pydantic_core import to_json

from services.cli import agents, output
from services.cli.agents import known_names
from services.cli.options import Json
from services.cli.store import opened_store
from shared.errors import HutchError
from shared.settings.environment import Settings
from shared.store.knowledge.documents import KNOWLEDGE, Indexed, every, knowledge_of
from shared.store.knowledge.search import Passage, search

_PASSAGES = TypeAdapter(list[Passage])
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
    """Print the passages that an agent would find, the best first."""
    settings = Settings.from_environment()
    agents.check_agent(settings, agent)
    found = _by_meaning(settings, agent, query, limit)
    if found is None:
        found = asyncio.run(_by_words(settings, agent, query, limit))
    if json:
        output.say(to_json([asdict(it) for it in found]).decode())
    elif found:
        output.say("\n\n".join(f"[{it.source}, passage {it.position}]\n{it.text}" for it in found))
    else:
        raise HutchError(
            f"no passage fits these words; 'hutch knowledge status {agent}' lists the documents"
        )


def _by_meaning(settings: Settings, agent: str, query: str, limit: int) -> list[Passage] | None:
    """The passages that an agent with embeddings finds; None if it has none, or with a remark if
    their endpoint can't be asked here."""
    folder = agents.folder(settings)
    definition = folder.found.get(agent) if folder else None
    if definition is None or not definition.knowledge or not definition.knowledge.embeddings:
        return None
    command = [sys.executable, "-m", "services.agent.search", agent, query, str(limit)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        output.remark(f"searched by words only: {done.stderr.decode('utf-8', 'replace').strip()}")
        return None
    return _PASSAGES.validate_json(done.stdout)


async def _by_words(settings: Settings, agent: str, query: str, limit: int) -> list[Passage]:
    collection = knowledge_of(agent)
    async with opened_store(settings) as store:
        return await store.read(lambda db: search(db, collection, query, limit))


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
