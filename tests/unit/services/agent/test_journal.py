"""What every journal keeps to: a store's journal joins by one more parameter of `case`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from services.agent.journal import Journal, MemoryJournal, StepKey
from shared.errors import JournalMismatch, RunLost

KEY = StepKey(turn=1, index=2)


@dataclass
class Case:
    journal: Journal
    reopen: Callable[[], Awaitable[Journal]]
    """What the instance sees that resumes the run."""
    lose: Callable[[], Awaitable[None]]
    """Another instance takes the run."""


def memory() -> Case:
    journal = MemoryJournal()

    async def reopen() -> Journal:
        return MemoryJournal(journal.steps)

    async def lose() -> None:
        journal.lost = True

    return Case(journal, reopen, lose)


@pytest.fixture(params=[memory])
def case(request: pytest.FixtureRequest) -> Case:
    made: Case = request.param()
    return made


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
    await case.journal.hold()


async def test_a_lost_run_is_not_held(case: Case) -> None:
    await case.lose()
    with pytest.raises(RunLost):
        await case.journal.hold()


async def test_a_lost_run_records_nothing(case: Case) -> None:
    await case.lose()
    with pytest.raises(RunLost):
        await case.journal.record(KEY, "tool", "lookup", '"late"')
    assert (await case.reopen()).recorded(KEY, "tool", "lookup") is None
