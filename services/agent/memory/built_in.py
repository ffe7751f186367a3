"""Calls of Hutch's own tools: the search of documents, and what an agent remembers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path

from pydantic_core import to_json

from services.agent.loop.calls import Tools
from services.agent.loop.journal import StepKey
from services.agent.loop.preparation import TURN
from services.agent.loop.snapshot import Snapshot
from services.agent.memory import choice
from services.agent.memory.index import KnowledgeIndex
from services.agent.memory.specs import FACT_CHARS
from shared.concurrency.threads import in_thread
from shared.contract.prompts import listed
from shared.contract.rows import storable
from shared.definitions.functions import JsonObject
from shared.definitions.knowledge import (
    FIND_TOOLS,
    FORGET,
    READ_SKILL,
    RECALL,
    REMEMBER,
    SEARCH_KNOWLEDGE,
    built_in,
)
from shared.definitions.skills import FILE as SKILL
from shared.definitions.skills import skill_text
from shared.definitions.tools.choice import sanitised
from shared.errors import KnowledgeError, ToolError
from shared.store import Store
from shared.store.knowledge.documents import count, memory_of, remove, replace
from shared.store.knowledge.search import Passage, newest, search
from shared.store.runs.run import Run

MOST_PASSAGES = 5
MOST_FACTS = 20
"""The most facts that `recall` returns."""
FACTS_KEPT = 1_000
"""The most facts that an agent remembers, of each user."""

Call = Callable[[JsonObject], Coroutine[None, None, str]]


@dataclass(frozen=True)
class BuiltIn:
    """The parts of a process that these tools need."""

    store: Store
    index: KnowledgeIndex
    skills: Mapping[str, Path]
    """The folders of skills by name."""

    def of(self, run: Run, snapshot: Snapshot, tools: Tools) -> Tools:
        """The tools of a run: its agent's own, and Hutch's own that its definition has."""
        return _RunTools(tools, run, snapshot, self)


@dataclass(frozen=True)
class _RunTools:
    tools: Tools
    run: Run
    snapshot: Snapshot
    parts: BuiltIn

    async def call(self, key: StepKey, name: str, arguments: JsonObject) -> str:
        """See `Tools.call`."""
        if name not in built_in(self.snapshot.definition):
            return await self.tools.call(key, name, arguments)
        calls: Mapping[str, Call] = {
            SEARCH_KNOWLEDGE: self._search,
            REMEMBER: partial(self._remember, key.step_id(self.run.run_id, self.run.nonce)),
            RECALL: self._recall,
            FORGET: self._forget,
            READ_SKILL: self._read_skill,
            FIND_TOOLS: self._find_tools,
        }
        if key.turn == TURN:
            return await self._prepare(name, arguments)
        return await calls[name](arguments)

    async def _prepare(self, name: str, arguments: JsonObject) -> str:
        """Make a call that a run makes before its first turn; its query is the task."""
        if name == SEARCH_KNOWLEDGE:
            return _listed(await self._passages(arguments))
        task, snapshot = _text(arguments, "query"), self.snapshot
        chosen = await choice.at_first(self.parts.store, snapshot, task)
        return to_json([{"name": it.name} for it in chosen]).decode()

    async def _search(self, arguments: JsonObject) -> str:
        found = await self._passages(arguments)
        return _listed(found) or "No passage fits these words; try other words."

    async def _passages(self, arguments: JsonObject) -> Sequence[Passage]:
        return await self.parts.index.search(_text(arguments, "query"), MOST_PASSAGES)

    async def _remember(self, step_id: str, arguments: JsonObject) -> str:
        """Store a fact under an id made from the step's, so a repeated call stores it once."""
        fact, collection = _text(arguments, "fact"), self._memory
        if len(fact) > FACT_CHARS:
            raise ToolError(f"the fact is longer than {FACT_CHARS} characters; shorten it")
        if await self.parts.store.read(partial(count, collection=collection)) >= FACTS_KEPT:
            raise ToolError(f"you remember {FACTS_KEPT} facts already; forget some first")
        fact_id = blake2b(step_id.encode(), digest_size=5).hexdigest()
        write = partial(
            replace, collection=collection, source=fact_id, digest=fact_id, texts=[fact]
        )
        await self.parts.store.write("", write)
        return f"Remembered, with the id {fact_id}."

    async def _recall(self, arguments: JsonObject) -> str:
        query, collection = str(arguments.get("query") or ""), self._memory
        read = partial(search, query=query) if query else newest
        found = await self.parts.store.read(partial(read, collection=collection, limit=MOST_FACTS))
        return _listed(found) or "You remember nothing about that."

    async def _forget(self, arguments: JsonObject) -> str:
        fact_id, collection = _text(arguments, "id"), self._memory
        await self.parts.store.write("", lambda db: remove(db, collection, [fact_id]))
        return f"You remember nothing with the id {fact_id} any more."

    async def _read_skill(self, arguments: JsonObject) -> str:
        name, file = _text(arguments, "name"), str(arguments.get("file") or SKILL)
        folder = self.parts.skills.get(name)
        if folder is None:
            known = ", ".join(self.parts.skills) or "none"
            raise ToolError(f"there is no skill '{sanitised(name)}'; there are: {known}")
        try:
            return await in_thread(skill_text, folder, file)
        except KnowledgeError as error:
            raise ToolError(str(error)) from error

    async def _find_tools(self, arguments: JsonObject) -> str:
        query, snapshot = _text(arguments, "query"), self.snapshot
        if found := await choice.found(self.parts.store, snapshot, query):
            named = [{"name": it.name, "description": it.description} for it in found]
            return to_json(named).decode()
        names = ", ".join(it.name for it in choice.selectable(snapshot))
        return f"No tool fits these words. Search for one of these names: {names}"

    @property
    def _memory(self) -> str:
        """The collection of the run's memory: in a session that of its user, named by the
        text before the first `/`."""
        return memory_of(self.run.agent, (self.run.session or "").partition("/")[0])


def _text(arguments: JsonObject, name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ToolError(f"the arguments are wrong: {name}: expected text")
    return storable(value)


def _listed(found: Sequence[Passage]) -> str:
    """The passages with their sources; empty if there are none."""
    return listed([f"[{it.source}] {it.text}" for it in found])
