"""The choice of tools for a task, by the search that also finds documents."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import JsonValue

from services.agent.llm.chat import ToolSpec
from services.agent.loop.snapshot import Snapshot
from shared.definitions.knowledge import MOST_OFFERED, OWN
from shared.store import Store
from shared.store.knowledge.documents import replace_all, tools_of
from shared.store.knowledge.search import search

OFFERED = 12
"""The tools that a run is offered at first, unless its agent's preamble names more."""
FOUND = 5
"""The tools that one call of `find_tools` returns."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


async def index_tools(store: Store, snapshot: Snapshot) -> None:
    """Store the descriptions of an agent's tools and workers, if it has so many that some are
    chosen. Those of another version are replaced; its runs find the tools that both have."""
    if len(selectable(snapshot)) <= MOST_OFFERED:
        return
    collection = tools_of(snapshot.definition.name)
    texts = {it.name: _text(it) for it in selectable(snapshot)}

    await store.write("", lambda db: replace_all(db, collection, texts))


def selectable(snapshot: Snapshot) -> list[ToolSpec]:
    """The tools and workers among which to choose, in the order of the agent's file."""
    tools = [it for it in snapshot.tools if it.name not in OWN]
    return [*tools, *(worker.tool for worker in snapshot.workers)]


async def at_first(store: Store, snapshot: Snapshot, task: str) -> list[ToolSpec]:
    """The tools for a task: those that the preamble names, those that fit best, and the first."""
    known = {it.name: it for it in selectable(snapshot)}
    words = set(re.findall(r"[\w-]+", snapshot.definition.preamble))
    named = [it for it in known if it in words]
    ranked = [*await _ranked(store, snapshot, task), *known]
    free = max(0, OFFERED - len(named))
    others = list(dict.fromkeys(it for it in ranked if it not in named))[:free]
    return [known[it] for it in (*named, *others)]


async def found(store: Store, snapshot: Snapshot, query: str) -> list[ToolSpec]:
    """The tools that fit a model's query, the best first."""
    known = {it.name: it for it in selectable(snapshot)}
    named = [it for it in known if it in query.split()]
    ranked = dict.fromkeys([*named, *await _ranked(store, snapshot, query)])
    return [known[it] for it in ranked][:FOUND]


async def _ranked(store: Store, snapshot: Snapshot, query: str) -> Sequence[str]:
    known = {it.name for it in selectable(snapshot)}
    collection = tools_of(snapshot.definition.name)
    passages = await store.read(lambda db: search(db, collection, query, len(known)))
    return [it.source for it in passages if it.source in known]


def _text(tool: ToolSpec) -> str:
    """The words of a tool: its name and description, and those of its parameters."""
    words = [_HUMP.sub(" ", tool.name), tool.description]
    properties: JsonValue = tool.parameters.get("properties")
    for name, schema in properties.items() if isinstance(properties, dict) else ():
        words.append(_HUMP.sub(" ", name))
        if isinstance(schema, dict) and isinstance(described := schema.get("description"), str):
            words.append(described)
    return "\n".join(words)
