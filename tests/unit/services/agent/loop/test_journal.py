"""The contract of every journal, the in-memory one and the store's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.agent.loop.journal import Journal, MemoryJournal, StepKey
from services.agent.runs.store_journal import StoredJournal
from shared.errors import JournalMismatch, RunLost
from shared.store import open_store
from shared.store.database.migrate import migrate
from shared.store.runs.claim import freeze
from shared.store.runs.steps import resumed
from tests.support.stores.steps import DEFINITION, owned, taken

KEY = StepKey(turn=1, index=2)


def test_a_calls_id_is_derived_from_a_nonce_in_the_store() -> None:
    call, sibling = (StepKey(1, index).step_id("run", "nonce") for index in (1, 2))
    assert call == StepKey(1, 1).step_id("run", "nonce"), "the same whenever it is asked again"
    assert call.startswith("run.1.1.1.")
    assert call != StepKey(1, 1).step_id("run", "other")
    assert call.rpartition(".")[2] != sibling.rpartition(".")[2], "a worker can't name a sibling"
    assert "nonce" not in call


def test_a_call_of_an_earlier_versions_run_keeps_its_id() -> None:
    assert StepKey(2, 3).step_id("run", "") == "run.1.2.3"


@dataclass
class Case:
    journal: Journal
    reopen: Callable[[], Awaitable[Journal]]
    """The journal as the instance that resumes the run reads it."""
    lose: Callable[[], Awaitable[None]]
    """Another instance takes the run."""


@asynccontextmanager
async def memory(folder: Path) -> AsyncIterator[Case]:
    journal = MemoryJournal()

    async def reopen() -> Journal:
        return MemoryJournal(journal.steps, journal.starts)

    async def lose() -> None:
        journal.lost = True

    yield Case(journal, reopen, lose)


@asynccontextmanager
async def store(folder: Path) -> AsyncIterator[Case]:
    url = f"sqlite:///{folder / 'hutch.db'}"
    await migrate(url)
    async with open_store(url) as opened:
        await opened.write("", lambda db: freeze(db, DEFINITION, "{}"))
        run = await owned(opened)

        async def reopen() -> Journal:
            found = await opened.read(lambda db: resumed(db, run))
            return StoredJournal(opened, run, found.steps, found.doubtful, fence_check_s=0.0)

        async def lose() -> None:
            await taken(opened, "alice.2", {"alice.1"})

        yield Case(StoredJournal(opened, run, fence_check_s=0.0), reopen, lose)


@pytest.fixture(params=[memory, store])
async def case(
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> AsyncIterator[Case]:
    async with request.param(tmp_path) as made:
        yield made


def test_an_unfinished_step_has_no_output(case: Case) -> None:
    assert case.journal.recorded(KEY, "tool", "lookup") is None


async def test_a_finished_step_is_found_where_it_was_recorded(case: Case) -> None:
    await case.journal.record(KEY, "tool", "lookup", '{"content": "größe ✓"}')
    assert case.journal.recorded(KEY, "tool", "lookup") == '{"content": "größe ✓"}'
    assert case.journal.recorded(StepKey(1, 1), "tool", "lookup") is None
    assert case.journal.recorded(StepKey(2, 2), "tool", "lookup") is None


async def test_a_resumed_run_finds_the_finished_steps(case: Case) -> None:
    await case.journal.record(KEY, "worker", "bob", '"done"')
    assert (await case.reopen()).recorded(KEY, "worker", "bob") == '"done"'


@pytest.mark.parametrize(("kind", "name"), [("worker", "lookup"), ("tool", "search")])
async def test_another_kind_or_name_is_a_mismatch(case: Case, kind: str, name: str) -> None:
    await case.journal.record(KEY, "tool", "lookup", '"done"')
    with pytest.raises(JournalMismatch, match=f"recorded as tool lookup.* asks for {kind} {name}"):
        case.journal.recorded(KEY, kind, name)  # type: ignore[arg-type]  # one of the kinds


async def test_the_owner_holds_its_run(case: Case) -> None:
    await case.journal.begin(KEY)


async def test_a_lost_run_is_not_held(case: Case) -> None:
    await case.lose()
    with pytest.raises(RunLost):
        await case.journal.begin(KEY)


async def test_a_lost_run_records_nothing(case: Case) -> None:
    await case.lose()
    with pytest.raises(RunLost):
        await case.journal.record(KEY, "tool", "lookup", '"late"')
    assert (await case.reopen()).recorded(KEY, "tool", "lookup") is None


async def test_a_call_that_began_and_has_no_result_is_in_doubt_for_the_next_owner(
    case: Case,
) -> None:
    assert case.journal.call_in_doubt() is None
    await case.journal.start(StepKey(2, 1), "mail", "{}")
    await case.journal.start(KEY, "pay", '{"order": 7}')
    doubt = (await case.reopen()).call_in_doubt()
    assert str(doubt).startswith('pay was called with {"order": 7}, and there is no result')
    assert doubt is not None
    assert doubt.public == "pay was called, and there is no result: whether it has acted is unknown"


async def test_a_call_with_a_result_is_not_in_doubt(case: Case) -> None:
    await case.journal.start(KEY, "pay", "{}")
    await case.journal.record(KEY, "tool", "pay", '"paid"')
    assert case.journal.call_in_doubt() is None
    assert (await case.reopen()).call_in_doubt() is None


async def test_a_lost_run_starts_nothing(case: Case) -> None:
    await case.lose()
    with pytest.raises(RunLost):
        await case.journal.start(KEY, "pay", "{}")
    assert (await case.reopen()).call_in_doubt() is None
