"""The index of an agent's documents in the store, kept up to date while the process runs."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from services.agent.instance import Instance
from services.agent.memory.embeddings import Embedder, PassageSearch
from services.agent.memory.passages import passages
from services.agent.memory.reading import MOST_BYTES, documents, read
from shared.concurrency.fault_boundary import contained
from shared.concurrency.threads import in_thread
from shared.errors import KnowledgeError, ModelError
from shared.store.knowledge.documents import SOURCE_CHARS, every, knowledge_of, remove, replace
from shared.store.knowledge.search import Passage

EVERY_S = 60.0
"""The time between two looks for changed files; a look reads only their names and times."""

FORM = "1"
"""Changed whenever documents are split in another way, so that all are indexed again."""

log = structlog.get_logger()

Seen = Mapping[str, tuple[Path, int, int]]
"""Files by their sources, each with its time of change and its size."""


@dataclass
class KnowledgeIndex:
    """Only files whose content differs from what is stored are indexed.

    Several processes of the agent can do this at once. Documents that are not there when a process
    starts are removed; later only those that this process has seen, as the others may belong to a
    newer version.
    """

    instance: Instance
    folder: Path
    """The folder of the agents' files."""
    embedder: Embedder | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Set after the first look: until then searches wait."""
    _seen: Seen | None = None

    async def serve(self) -> None:
        """Keep the index up to date until cancelled, if the agent has documents."""
        while True:
            await contained(self.update, "documents not indexed")
            self.ready.set()
            if self.instance.definition.knowledge is None:
                return
            next_look = asyncio.get_running_loop().time() + EVERY_S
            await contained(partial(self._embed, next_look), "passages not embedded")
            await asyncio.sleep(next_look - asyncio.get_running_loop().time())

    async def update(self) -> None:
        """Index the files that have changed since the last look, and remove those that are gone."""
        store, collection = self.instance.store, knowledge_of(self.instance.agent)
        now, known = await in_thread(self._look), self._seen
        if now == known:
            return
        stored = {
            it.source: it.digest for it in await store.read(partial(every, collection=collection))
        }
        indexed = 0
        for source, seen in now.items():
            if known is None or known.get(source) != seen:
                indexed += await self._index(collection, source, seen[0], stored.get(source))
        gone = [it for it in (stored if known is None else known) if it not in now and it in stored]
        if gone:
            await store.write("", lambda db: remove(db, collection, gone))
        if known is None:
            await self._passages.remove_others()
        self._seen = now
        if indexed or gone:
            log.info("documents indexed", documents=len(now), changed=indexed, removed=len(gone))

    async def search(self, query: str, limit: int) -> Sequence[Passage]:
        """The passages that fit a query best, once the first look has ended."""
        await self.ready.wait()
        return await self._passages.search(query, limit)

    async def _embed(self, until: float) -> None:
        """Embed passages until none is left, or the next look is due, or the endpoint fails."""
        try:
            while asyncio.get_running_loop().time() < until and await self._passages.embed_some():
                pass
        except ModelError as error:
            log.warning("passages can't be embedded now", reason=str(error))

    @property
    def _passages(self) -> PassageSearch:
        collection = knowledge_of(self.instance.agent)
        return PassageSearch(self.instance.store, collection, self.embedder)

    def _look(self) -> Seen:
        knowledge = self.instance.definition.knowledge
        paths = [self.folder / path for path in knowledge.paths] if knowledge else []
        found = {}
        for file in documents(paths):
            with suppress(OSError):  # it has just been removed
                state = file.stat()
                found[_source(file, self.folder)] = file, state.st_mtime_ns, state.st_size
        return found

    async def _index(self, collection: str, source: str, file: Path, stored: str | None) -> bool:
        """Index a document unless the store has its content; returns whether it was indexed."""
        digest, texts, fault = await in_thread(_read, source, file, stored)
        if digest == stored:
            return False
        if fault:
            log.warning("a document can't be indexed", document=source, reason=fault)
        write = partial(
            replace, collection=collection, source=source, digest=digest, texts=texts, fault=fault
        )
        return await self.instance.store.write("", write)


def _source(file: Path, folder: Path) -> str:
    below = file.is_relative_to(folder)
    name = os.fsencode(file.relative_to(folder) if below else file)  # it may not be UTF-8
    return name.decode("utf-8", "backslashreplace")[-SOURCE_CHARS:]


def _read(source: str, file: Path, stored: str | None) -> tuple[str, list[str], str]:
    """The digest of a document, its passages unless they are stored, and why there are none."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise KnowledgeError(f"it is larger than {MOST_BYTES // 2**20} MiB")
        content = file.read_bytes()
    except (OSError, KnowledgeError) as error:
        return hashlib.sha256(f"{FORM} {error}".encode()).hexdigest(), [], str(error)
    digest = hashlib.sha256(FORM.encode() + content).hexdigest()
    if digest == stored:
        return digest, [], ""
    try:
        return digest, passages(source, read(file.name, content)), ""
    except KnowledgeError as error:
        return digest, [], str(error)
