from __future__ import annotations

from functools import partial

import pytest
import structlog

from services.agent.memory import embeddings
from services.agent.memory.embeddings import PassageSearch
from shared.errors import ModelError, ModelUnavailable
from shared.store import Store
from shared.store.knowledge.documents import replace
from tests.support.model.meanings import Meanings

REFUNDS = "Refunds above 100 dollars need an approval."
RETURNS = "A customer can return an order within 30 days."
STORAGE = "The warehouse is in York."
MONEY = "When do I get my money?"


@pytest.fixture
async def shop(store: Store) -> Store:
    for source, text in (("refunds", REFUNDS), ("returns", RETURNS), ("storage", STORAGE)):
        write = partial(replace, collection="a", source=source, digest="1", texts=[text])
        await store.write("", write)
    return store


async def embedded(store: Store, embedder: Meanings) -> PassageSearch:
    search = PassageSearch(store, "a", embedder)
    while await search.embed_some():
        pass
    return search


async def found(search: PassageSearch, query: str) -> list[str]:
    return [it.source for it in await search.search(query, 5)]


@pytest.mark.essential
async def test_passages_are_found_by_words_and_by_meaning(shop: Store) -> None:
    search = await embedded(shop, Meanings())
    assert (await found(search, MONEY))[0] == "refunds"
    assert (await found(search, "York"))[0] == "storage"
    assert await found(PassageSearch(shop, "a"), MONEY) == []


@pytest.mark.essential
async def test_words_are_enough_while_the_endpoint_fails(shop: Store) -> None:
    embedder = Meanings()
    search = await embedded(shop, embedder)
    embedder.fault = ModelUnavailable("the endpoint is away")
    with structlog.testing.capture_logs() as logged:
        assert await found(search, "a return") == ["returns"]
    assert [it["reason"] for it in logged] == ["the endpoint is away"]


async def test_a_fault_leaves_what_is_done_and_the_next_call_goes_on(
    shop: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "BATCH", 2)
    embedder = Meanings()
    search = PassageSearch(shop, "a", embedder)
    assert await search.embed_some() == 2
    embedder.fault = ModelError("refused")
    with pytest.raises(ModelError):
        await search.embed_some()
    embedder.fault = None
    assert [await search.embed_some(), await search.embed_some()] == [1, 0]
    assert sorted(embedder.texts) == sorted([REFUNDS, RETURNS, STORAGE])


async def test_passages_that_are_too_long_for_the_model_are_cut(store: Store) -> None:
    text = f"{RETURNS} " * 30
    await store.write("", lambda db: replace(db, "a", "long", "1", [text]))
    embedder = Meanings(longest=500)
    assert await found(await embedded(store, embedder), "send back") == ["long"]
    assert embedder.texts[0] == text[:400]


async def test_the_embeddings_of_an_earlier_model_are_removed(shop: Store) -> None:
    await embedded(shop, Meanings("older"))
    search = await embedded(shop, Meanings("newer"))
    await search.remove_others()
    assert await found(PassageSearch(shop, "a", Meanings("older")), MONEY) == []
    assert (await found(search, MONEY))[0] == "refunds"
