from __future__ import annotations

from math import hypot

import pytest

from shared.store import Store
from shared.store.knowledge import documents, embeddings
from shared.store.knowledge.search import Passage, fused

NORTH, EAST, SOUTH = [0.1, 1.0], [1.0, 0.1], [0.1, -1.0]


def unit(vector: list[float]) -> list[float]:
    return [it / hypot(*vector) for it in vector]


async def stored(store: Store, source: str, *texts: str, digest: str = "1", of: str = "a") -> None:
    await store.write("", lambda db: documents.replace(db, of, source, digest, texts))


async def missing(store: Store, model: str = "m", of: str = "a") -> dict[str, int]:
    found = await store.read(lambda db: embeddings.missing(db, of, model, 10))
    return {text: passage_id for passage_id, text in found.items()}


async def embed(
    store: Store, vectors: dict[str, list[float]], model: str = "m", of: str = "a"
) -> None:
    """Store vectors by the texts of passages that have none."""
    ids = await missing(store, model, of)
    by_id = {ids[text]: unit(vector) for text, vector in vectors.items()}
    await store.write("", lambda db: embeddings.add(db, of, model, by_id))


async def nearest(
    store: Store, vector: list[float], model: str = "m", of: str = "a", limit: int = 5
) -> list[str]:
    found = await store.read(lambda db: embeddings.nearest(db, of, model, unit(vector), limit))
    return [it.text for it in found]


@pytest.fixture
async def compass(store: Store) -> Store:
    await stored(store, "compass.md", "north", "east", "south")
    await embed(store, {"north": NORTH, "east": EAST, "south": SOUTH})
    return store


@pytest.mark.essential
async def test_the_nearest_passages_come_first(compass: Store) -> None:
    assert await nearest(compass, [0.2, 1.0]) == ["north", "east", "south"]
    assert await nearest(compass, [1.0, -0.3], limit=2) == ["east", "south"]


async def test_only_those_whose_signs_are_nearest_are_compared(
    compass: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "COMPARED", 2 * len(NORTH))
    assert await nearest(compass, [0.2, 1.0]) == ["north", "east"]


@pytest.mark.essential
async def test_a_changed_document_keeps_the_embeddings_of_passages_that_stay(
    compass: Store,
) -> None:
    await stored(compass, "compass.md", "title", "south", "north", digest="2")
    assert list(await missing(compass)) == ["title"]
    [first, *_] = await compass.read(lambda db: embeddings.nearest(db, "a", "m", unit(SOUTH), 5))
    assert first == Passage("compass.md", 2, "south")
    assert await nearest(compass, EAST) == ["north", "south"]
    [document] = await compass.read(lambda db: documents.every(db, "a"))
    assert (document.passages, document.embedded) == (3, 2)


async def test_embeddings_are_removed_with_their_document(compass: Store) -> None:
    await compass.write("", lambda db: documents.remove(db, "a", ["compass.md"]))
    assert await nearest(compass, NORTH) == []
    await stored(compass, "compass.md", "north")
    assert list(await missing(compass)) == ["north"]


async def test_an_embedding_of_a_passage_that_is_gone_is_not_stored(store: Store) -> None:
    await stored(store, "compass.md", "north", "south")
    ids = await missing(store)
    await stored(store, "compass.md", "south", digest="2")
    vectors = {ids["north"]: unit(NORTH), ids["south"]: unit(SOUTH)}
    for _ in range(2):  # another process has stored them too
        await store.write("", lambda db: embeddings.add(db, "a", "m", vectors))
    assert await nearest(store, NORTH) == ["south"]


async def test_models_and_collections_are_separate(compass: Store) -> None:
    await stored(compass, "compass.md", "north", of="b")
    assert await missing(compass, of="b")
    assert await nearest(compass, NORTH, of="b") == []
    assert len(await missing(compass, "newer")) == 3
    await embed(compass, {"north": NORTH}, "newer")
    assert await nearest(compass, NORTH, "newer") == ["north"]
    await compass.write("", lambda db: embeddings.remove_others(db, "a", "newer"))
    assert await nearest(compass, NORTH) == []
    await compass.write("", lambda db: embeddings.remove_others(db, "a", None))
    assert await nearest(compass, NORTH, "newer") == []


async def test_embeddings_of_another_length_are_not_compared(compass: Store) -> None:
    assert await nearest(compass, [1.0] * 9) == []


def test_a_passage_high_in_both_rankings_comes_first() -> None:
    first, second, third = (Passage("a", number, "") for number in (1, 2, 3))
    assert fused([[first, second], [third, second]], 2) == [second, first]
    assert fused([[first], []], 5) == [first]
