"""`hutch knowledge`, and `hutch forget` of what agents remember."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from shared.store import Store, open_store
from shared.store.knowledge.documents import knowledge_of, memory_of, replace
from shared.store.knowledge.embeddings import add, missing
from tests.support.command_line import hutch
from tests.support.model.meanings import MeaningsEndpoint, meaning

RETURNS = "docs/returns.md > Returns\n\nWithin 30 days."


@pytest.fixture(autouse=True)
def store_url(folder: Path) -> str:
    assert hutch("migrate").exit_code == 0
    return f"sqlite:///{folder.parent / 'hutch.db'}"


def store(url: str, collection: str, source: str, text: str, fault: str = "") -> None:
    async def write(opened: Store) -> None:
        texts = [text] if text else []
        await opened.write("", lambda db: replace(db, collection, source, "1", texts, fault))

    async def run() -> None:
        async with open_store(url) as opened:
            await write(opened)

    asyncio.run(run())


def test_documents_are_listed_with_their_faults(store_url: str) -> None:
    assert hutch("knowledge", "status").stdout.startswith("no documents: an agent's file names")
    store(store_url, knowledge_of("bob"), "docs/returns.md", RETURNS)
    store(store_url, knowledge_of("alice"), "docs/scan.pdf", "", "it has no text")
    listed = hutch("knowledge", "status").stdout
    assert re.search(r"^alice +docs/scan.pdf +0 +0 .* it has no text", listed, re.MULTILINE)
    assert re.search(r"^bob +docs/returns.md +1 +0 ", listed, re.MULTILINE)
    (found,) = json.loads(hutch("knowledge", "status", "bob", "--json").stdout)
    assert (found["document"], found["passages"], found["fault"]) == ("docs/returns.md", 1, None)


def test_a_search_prints_what_the_agent_would_find(store_url: str) -> None:
    store(store_url, knowledge_of("bob"), "docs/returns.md", RETURNS)
    printed = hutch("knowledge", "search", "bob", "how many days?").stdout
    assert printed == f"[docs/returns.md, passage 1]\n{RETURNS}\n"
    found = json.loads(hutch("knowledge", "search", "bob", "days", "--json").stdout)
    assert found == [{"source": "docs/returns.md", "position": 1, "text": RETURNS}]
    nothing = hutch("knowledge", "search", "alice", "days")
    assert nothing.exit_code == 1
    assert "'hutch knowledge status alice' lists the documents" in nothing.stderr


def test_passages_with_embeddings_are_counted_and_found_by_meaning(
    store_url: str, folder: Path
) -> None:
    carol = knowledge_of("carol")
    store(store_url, carol, "docs/refunds.md", "Refunds take five days.")
    store(store_url, carol, "docs/storage.md", "The warehouse is in York.")

    async def embed() -> None:
        async with open_store(store_url) as opened:
            lacking = await opened.read(lambda db: missing(db, carol, "small", 5))
            vectors = {it: meaning(text) for it, text in lacking.items()}
            await opened.write("", lambda db: add(db, carol, "small", vectors))

    asyncio.run(embed())
    documents = json.loads(hutch("knowledge", "status", "--json").stdout)
    assert [it["embedded"] for it in documents] == [1, 1]
    with MeaningsEndpoint().serving() as endpoint:
        model = f"{{name: small, base_url: {endpoint.url}}}"
        text = f"name: carol\nknowledge: {{paths: [docs], embeddings: {model}}}\n"
        (folder / "carol.yaml").write_text(text, "utf-8")
        found = hutch("knowledge", "search", "carol", "Where is my money?", "--limit", "1")
        assert "Refunds take five days." in found.stdout
        assert found.stderr == ""
        endpoint.down = True
        words = hutch("knowledge", "search", "carol", "York")
        assert "The warehouse is in York." in words.stdout
        assert words.stderr.startswith("searched by words only: hutch: the model's endpoint")


def test_what_agents_remember_of_a_user_is_forgotten(store_url: str) -> None:
    for agent, user in (("alice", "ann"), ("bob", "ann"), ("alice", "ann:2"), ("alice", "")):
        store(store_url, memory_of(agent, user), "1", "A fact.")
    assert hutch("forget", "ann", "--agent", "bob").stdout == (
        "forgot 0 runs of session 'ann'\nforgot 1 fact that agents remembered\n"
    )
    once = hutch("forget", "ann", "--memory").stdout
    assert once == "forgot 1 fact that agents remembered\n"
    assert hutch("forget", "ann", "--memory").stdout == "forgot 0 facts that agents remembered\n"
    of_alice = hutch("forget", "--memory", "--agent", "alice").stdout
    assert of_alice == "forgot 1 fact that agents remembered\n"
    assert hutch("forget").exit_code == 2
