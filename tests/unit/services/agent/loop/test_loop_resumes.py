from __future__ import annotations

import asyncio

import pytest

from services.agent.llm.chat import Assistant, Kept
from services.agent.loop.journal import MemoryJournal, StepKey, StepKind
from shared.errors import JournalMismatch, ModelUnavailable, RunLost
from tests.support.model.doubles import calls, says
from tests.support.model.loop import BOB, DyingJournal, scripted_loop, until

SCRIPT = (
    calls(("bob", BOB), ("lookup", '{"order": 1}'), ("search", "{}"), ("nobody", "{}")),
    says(None),
    calls(("carol", BOB), ("lookup", '{"order": 2}'), finish_reason="length"),
    calls(("carol", BOB)),
    says("Done."),
)
STEPS = 9


async def test_an_undisturbed_run_has_these_steps() -> None:
    it = scripted_loop(*SCRIPT)
    await it.run()
    assert len(it.journal.steps) == STEPS


@pytest.mark.parametrize("after", [True, False], ids=["committed", "uncommitted"])
@pytest.mark.parametrize("lives", range(STEPS))
async def test_a_run_killed_at_any_step_repeats_no_finished_call(lives: int, after: bool) -> None:
    whole = scripted_loop(*SCRIPT)
    outcome = await whole.run()
    killed = scripted_loop(*SCRIPT)
    killed.journal = DyingJournal(killed.journal, lives, after=after)
    with pytest.raises(RunLost):
        await killed.run()
    finished = {(kind, name) for kind, name, _ in killed.journal.steps.values()}
    paid = sum(kind == "model" for kind, *_ in killed.journal.steps.values())

    resumed = scripted_loop(*SCRIPT[paid:])
    resumed.journal = MemoryJournal(killed.journal.steps)
    assert await resumed.run() == outcome
    assert resumed.journal.steps == whole.journal.steps
    assert resumed.model.seen == whole.model.seen[paid:]
    assert not finished & resumed.performed


async def test_a_finished_run_replays_without_any_call() -> None:
    it = scripted_loop(*SCRIPT)
    outcome = await it.run()
    replayed = scripted_loop()
    replayed.journal = it.journal
    assert await replayed.run() == outcome
    assert (replayed.performed, replayed.workers.log) == (set(), [])


async def test_a_lost_run_calls_nothing() -> None:
    it = scripted_loop(says("Done."))
    it.journal.lost = True
    with pytest.raises(RunLost):
        await it.run()
    assert it.model.seen == []


async def test_a_run_lost_between_its_steps_calls_no_tool_or_worker() -> None:
    class LostAfterTheModel(MemoryJournal):
        async def record(self, key: StepKey, kind: StepKind, name: str, output: str) -> None:
            await super().record(key, kind, name, output)
            self.lost = True

    it = scripted_loop(calls(("lookup", "{}"), ("bob", BOB)))
    it.journal = LostAfterTheModel()
    with pytest.raises(RunLost):
        await it.run()
    assert it.performed == set()


async def test_a_journal_of_another_run_is_not_followed() -> None:
    it = scripted_loop(calls(("lookup", "{}")), says("Done."))
    await it.run()
    it.journal.steps[StepKey(1, 1)] = ("tool", "search", "{}")
    with pytest.raises(JournalMismatch):
        await it.run()


async def test_a_cancelled_run_is_cancelled_and_not_failed() -> None:
    it = scripted_loop(calls(("bob", BOB)))
    it.workers.gates["bob"] = asyncio.Event()
    running = asyncio.create_task(it.run())
    await until(lambda: "waiting" in it.workers.log)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert list(it.journal.steps) == [StepKey(1, 0)]


async def test_a_run_whose_model_is_away_continues_later_and_repeats_no_call() -> None:
    away = scripted_loop(SCRIPT[0], ModelUnavailable("503"))
    with pytest.raises(ModelUnavailable):
        await away.run()
    assert len(away.journal.steps) == 4, "the parallel calls of the turn before are finished"
    back = scripted_loop(*SCRIPT[1:])
    back.journal = MemoryJournal(away.journal.steps)
    undisturbed = scripted_loop(*SCRIPT)
    assert await back.run() == await undisturbed.run()
    assert ("tool", "search") not in back.performed


async def test_the_parts_for_the_endpoint_alone_are_in_the_history_before_and_after_a_resume() -> (
    None
):
    kept = Kept(origin="here tiny", message={"reasoning_content": "Hm."}, calls=({"id": 1},))
    asked = calls(("lookup", "{}")).model_copy(update={"kept": kept})
    whole = scripted_loop(asked, says("Done."))
    await whole.run()
    del whole.journal.steps[StepKey(2, 0)]
    resumed = scripted_loop(says("Done."))
    resumed.journal = whole.journal
    await resumed.run()
    assert resumed.model.seen[0] == whole.model.seen[1]
    said = resumed.model.seen[0][2]
    assert isinstance(said, Assistant)
    assert said.kept == kept
