from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
import structlog

from services.agent.memory import index
from services.agent.memory.index import KnowledgeIndex
from shared.definitions.knowledge import Knowledge
from shared.definitions.model import Definition
from shared.errors import ModelUnavailable
from shared.store import Store
from shared.store.knowledge.documents import every, knowledge_of
from shared.store.knowledge.search import search
from tests.support.model.meanings import Meanings
from tests.support.processes.instances import instance
from tests.support.processes.upkeep import until

COLLECTION = knowledge_of("alice")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "returns.md").write_text("# Returns\n\nWithin 30 days.", "utf-8")
    (tmp_path / "docs" / "fees.md").write_text("# Fees\n\nFive dollars.", "utf-8")
    return tmp_path / "docs"


def of(store: Store, docs: Path, *paths: str) -> KnowledgeIndex:
    knowledge = Knowledge(paths=paths) if paths else None
    return KnowledgeIndex(
        instance(store, Definition(name="alice", knowledge=knowledge)), docs.parent
    )


def write(file: Path, text: str) -> None:
    """Write a file that surely has another time of change."""
    file.write_text(text, "utf-8")
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 10**9))


async def indexed(store: Store) -> dict[str, str]:
    """The indexed documents with their faults."""
    return {it.source: it.fault for it in await store.read(lambda db: every(db, COLLECTION))}


async def found(store: Store, query: str) -> list[str]:
    return [it.source for it in await store.read(lambda db: search(db, COLLECTION, query, 5))]


@pytest.mark.essential
async def test_changed_documents_are_indexed_again_and_removed_ones_forgotten(
    store: Store, docs: Path
) -> None:
    it = of(store, docs, "docs/")
    await it.update()
    assert await found(store, "days") == ["docs/returns.md"]
    write(docs / "returns.md", "Within a fortnight.")
    (docs / "fees.md").unlink()
    await it.update()
    assert await found(store, "days dollars") == []
    assert await found(store, "fortnight") == ["docs/returns.md"]


@pytest.mark.essential
async def test_a_process_indexes_only_what_no_other_has_indexed(store: Store, docs: Path) -> None:
    await of(store, docs, "docs").update()
    write(docs / "fees.md", "Six dollars.")
    os.utime(docs / "returns.md", ns=(0, 0))  # touched, with the same content
    with structlog.testing.capture_logs() as logged:
        await of(store, docs, "docs").update()
    assert [(it["changed"], it["removed"]) for it in logged] == [(1, 0)]


async def test_processes_of_two_versions_leave_the_newer_ones_documents(
    store: Store, docs: Path
) -> None:
    older = of(store, docs, "docs/fees.md")
    await older.update()
    await of(store, docs, "docs/fees.md", "docs/returns.md").update()
    await older.update()
    assert list(await indexed(store)) == ["docs/fees.md", "docs/returns.md"]


async def test_a_document_that_cannot_be_read_is_listed_with_its_fault(
    store: Store, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (docs / "fees.md").write_bytes(b"\xff")
    monkeypatch.setattr(index, "MOST_BYTES", 20)
    await of(store, docs, "docs").update()
    assert await indexed(store) == {
        "docs/fees.md": "it is not UTF-8 text",
        "docs/returns.md": "it is larger than 0 MiB",
    }


async def test_a_document_with_a_name_that_is_not_utf_8_stops_no_other(
    store: Store, docs: Path
) -> None:
    (docs / os.fsdecode(b"caf\xe9.md")).write_text("# Coffee\n\nTwo dollars.", "utf-8")
    await of(store, docs, "docs/").update()
    names = {"docs/caf\\xe9.md", "docs/fees.md", "docs/returns.md"}
    assert (await indexed(store)).keys() == names
    assert await found(store, "coffee") == ["docs/caf\\xe9.md"]


async def test_searches_wait_for_the_first_look_only(store: Store, docs: Path) -> None:
    it = of(store, docs, "docs")
    async with asyncio.TaskGroup() as jobs:
        serving = jobs.create_task(it.serve())
        await it.ready.wait()
        assert await found(store, "days") == ["docs/returns.md"]
        serving.cancel()


async def test_an_agent_whose_file_names_no_documents_any_more_has_none(
    store: Store, docs: Path
) -> None:
    await of(store, docs, "docs").update()
    await of(store, docs).serve()
    assert await indexed(store) == {}


@pytest.mark.essential
async def test_searches_do_not_wait_for_embeddings(store: Store, docs: Path) -> None:
    embedder = Meanings(fault=ModelUnavailable("the endpoint is away"))
    it = of(store, docs, "docs")
    it.embedder = embedder
    async with asyncio.TaskGroup() as jobs:
        serving = jobs.create_task(it.serve())
        assert [found.source for found in await it.search("days", 5)] == ["docs/returns.md"]
        serving.cancel()


async def test_new_passages_are_embedded_after_each_look(
    store: Store, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "EVERY_S", 0.05)
    it = of(store, docs, "docs")
    it.embedder = embedder = Meanings()

    async with asyncio.TaskGroup() as jobs:
        serving = jobs.create_task(it.serve())
        await until(lambda: len(embedder.texts) == 2)
        (docs / "third.md").write_text("Shipping takes a week.", "utf-8")
        await until(lambda: len(embedder.texts) == 3)
        serving.cancel()
