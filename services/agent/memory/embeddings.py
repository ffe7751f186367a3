"""The search of an agent's documents: by words, and by meaning if its file names embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import structlog

from services.agent.memory.passages import MOST_CHARS
from shared.errors import ContextExceeded, ModelError
from shared.store import Store
from shared.store.knowledge.embeddings import add, missing, nearest, remove_others
from shared.store.knowledge.search import Passage, fused, search

BATCH = 32
"""The passages of one request: some 13,000 tokens."""
BATCH_S = 60.0
QUERY_S = 5.0
"""Seconds for the embedding of a query; then passages are searched by words only."""
CUTS = (None, 800, 400, 200)
"""The characters of a passage that are embedded, tried in turn until the model can read them."""
RANKED = 50
"""The passages of each ranking, of which one ranking is made."""

log = structlog.get_logger()


class Embedder(Protocol):
    """A model of embeddings."""

    name: str

    async def embed(self, texts: Sequence[str], within_s: float) -> list[list[float]]:
        """The embeddings of some texts, each of length 1. Raises `ModelError`."""
        ...


@dataclass(frozen=True)
class PassageSearch:
    """The search of one collection; `embedder` is None for an agent without embeddings."""

    store: Store
    collection: str
    embedder: Embedder | None = None

    async def search(self, query: str, limit: int) -> Sequence[Passage]:
        """The passages that fit best. If the endpoint of the embeddings fails, by words only."""
        try:
            return await self.both(query, limit)
        except ModelError as error:
            log.warning("documents are searched by words only", reason=str(error))
            return (await self._by_words(query))[:limit]

    async def both(self, query: str, limit: int) -> Sequence[Passage]:
        """The same; raises `ModelError` if the endpoint fails."""
        if self.embedder is None:
            return (await self._by_words(query))[:limit]
        collection, model = self.collection, self.embedder.name
        [vector] = await self.embedder.embed([query[:MOST_CHARS]], QUERY_S)
        near = await self.store.read(lambda db: nearest(db, collection, model, vector, RANKED))
        return fused([await self._by_words(query), near], limit)

    async def _by_words(self, query: str) -> Sequence[Passage]:
        return await self.store.read(lambda db: search(db, self.collection, query, RANKED))

    async def embed_some(self) -> int:
        """Store the embeddings of some passages that have none; returns their number.

        Raises `ModelError`.
        """
        if self.embedder is None:
            return 0
        collection, model = self.collection, self.embedder.name
        lacking = await self.store.read(lambda db: missing(db, collection, model, BATCH))
        if lacking:
            vectors = await _embedded(self.embedder, list(lacking.values()))
            by_id = dict(zip(lacking, vectors, strict=True))
            await self.store.write("", lambda db: add(db, collection, model, by_id))
        return len(lacking)

    async def remove_others(self) -> None:
        """Delete the embeddings of models that the agent's file does not name any more."""
        model = self.embedder.name if self.embedder else None
        await self.store.write("", lambda db: remove_others(db, self.collection, model))


async def _embedded(embedder: Embedder, texts: Sequence[str]) -> list[list[float]]:
    *cuts, last = CUTS
    for cut in cuts:
        with suppress(ContextExceeded):
            return await embedder.embed([it[:cut] for it in texts], BATCH_S)
    return await embedder.embed([it[:last] for it in texts], BATCH_S)
