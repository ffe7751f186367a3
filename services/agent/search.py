"""`python -m services.agent.search NAME QUERY LIMIT`: what an agent finds in its documents by words
and by meaning, as JSON. `hutch knowledge search` runs it, as only agents call models."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from pydantic import TypeAdapter

from services.agent.llm.registry import ModelRegistry
from services.agent.memory.embeddings import PassageSearch
from shared.definitions.loader import read_folder
from shared.process.failure import report_failure
from shared.settings.environment import Settings
from shared.store import open_store
from shared.store.knowledge.documents import knowledge_of
from shared.store.knowledge.search import Passage

PASSAGES = TypeAdapter(Sequence[Passage])
RETRY_FOR_S = 5.0
"""How long it waits for an unavailable store: a person waits for it."""


async def found(settings: Settings, name: str, query: str, limit: int) -> Sequence[Passage]:
    """Raises `ModelError` if the endpoint of the embeddings fails."""
    definition = read_folder(settings.agents).definition(name)
    models = ModelRegistry(settings, lambda _: None)
    try:
        async with open_store(settings.store(), retry_for_s=RETRY_FOR_S) as store:
            embedder = models.of_embeddings(definition)
            return await PassageSearch(store, knowledge_of(name), embedder).both(query, limit)
    finally:
        await models.close()


def main() -> int:
    """Print the passages; returns the exit code."""
    settings = Settings.from_environment()
    name, query, limit = sys.argv[1:]
    try:
        passages = asyncio.run(found(settings, name, query, int(limit)))
    except Exception as error:  # noqa: BLE001 - it is reported
        return report_failure("hutch", error, trace=settings.debug)
    sys.stdout.buffer.write(PASSAGES.dump_json(passages))
    return 0


if __name__ == "__main__":
    sys.exit(main())
