from __future__ import annotations

import pytest

from shared.store import Store
from shared.store.knowledge import documents
from shared.store.knowledge.documents import Indexed
from shared.store.knowledge.search import MOST_WORDS, search

RETURNS = "Returns\n\nA customer can return an order within 30 days."
REFUNDS = "Refunds\n\nRefunds above 100 dollars need an approval of a manager."
STORAGE = "Storage\n\nThe warehouse keeps every order for two days, and then ships the order."


async def stored(store: Store, source: str, *texts: str, digest: str = "1", of: str = "a") -> bool:
    return await store.write("", lambda db: documents.replace(db, of, source, digest, texts))


async def found(store: Store, query: str, of: str = "a", limit: int = 5) -> list[str]:
    return [it.source for it in await store.read(lambda db: search(db, of, query, limit))]


async def known(store: Store, of: str = "a") -> list[Indexed]:
    return await store.read(lambda db: documents.every(db, of))


@pytest.fixture
async def shop(store: Store) -> Store:
    await stored(store, "returns.md", RETURNS)
    await stored(store, "refunds.md", REFUNDS)
    await stored(store, "storage.md", STORAGE, "Other\n\nNothing of the kind.")
    return store


@pytest.mark.essential
async def test_the_passage_with_the_rarest_words_comes_first(shop: Store) -> None:
    assert await found(shop, "How long can a customer return an order?") == [
        "returns.md",
        "storage.md",
    ]
    assert (await found(shop, "order approval"))[0] == "refunds.md"


async def test_words_are_found_in_other_forms_and_inside_names(store: Store) -> None:
    await stored(store, "guide", "Use asyncio.TaskGroup, not start_new_job, to begin jobs.")
    assert await found(store, "TASKGROUPS") == ["guide"]
    assert await found(store, "new_job") == ["guide"]
    assert await found(store, "beginning") == ["guide"]


@pytest.mark.parametrize("query", ["", "?! ()", "zebra", 'a" OR "b', "NEAR(x y) *", "\0", "-'%:x"])
async def test_a_query_without_a_known_word_finds_nothing(shop: Store, query: str) -> None:
    assert await found(shop, query, "b") == []
    assert len(await found(shop, query)) < 3


async def test_only_the_first_words_of_a_long_query_are_used(shop: Store) -> None:
    many = " ".join(f"w{n}" for n in range(MOST_WORDS))
    assert await found(shop, f"refunds {many}") == ["refunds.md"]
    assert await found(shop, f"{many} refunds") == []


async def test_a_search_has_a_limit_and_finds_nothing_of_other_collections(shop: Store) -> None:
    await stored(shop, "other.md", RETURNS, of="b")
    assert len(await found(shop, "order", limit=1)) == 1
    assert "other.md" not in await found(shop, "order")


async def test_a_passage_can_contain_characters_that_a_database_refuses(store: Store) -> None:
    await stored(store, "odd", "nul \0 rabbit 🐇 half \ud83d")
    (passage,) = await store.read(lambda db: search(db, "a", "rabbit", 5))
    assert (passage.text, passage.position) == ("nul  rabbit 🐇 half ?", 1)


@pytest.mark.essential
async def test_a_document_is_replaced_only_when_its_content_has_changed(shop: Store) -> None:
    before = await known(shop)
    assert [(it.source, it.passages) for it in before] == [
        ("refunds.md", 1),
        ("returns.md", 1),
        ("storage.md", 2),
    ]
    assert not await stored(shop, "storage.md", "new")
    assert await known(shop) == before
    assert await stored(shop, "storage.md", "Parcels leave by lorry.", digest="2")
    assert await found(shop, "warehouse") == []
    assert await found(shop, "parcel") == ["storage.md"]


async def test_removed_documents_are_not_found(shop: Store) -> None:
    assert await shop.write("", lambda db: documents.remove(db, "a", ["storage.md", "none"])) == 1
    assert await found(shop, "order") == ["returns.md"]
    assert await shop.write("", lambda db: documents.remove(db, "a")) == 2
    assert await found(shop, "order") == []
    assert await known(shop) == []


async def test_collections_are_listed_together_by_the_beginning_of_their_names(
    store: Store,
) -> None:
    for name in ("knowledge:al", "knowledge:al_", "knowledge:alice", "memory:al"):
        await stored(store, "x", "text", of=name)
    listed = await store.read(lambda db: documents.every(db, "knowledge:al_", below=True))
    assert [it.collection for it in listed] == ["knowledge:al_"]
