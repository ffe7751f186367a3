"""Tools that must not run twice: what the loop commits before it calls one."""

from __future__ import annotations

import asyncio

import pytest

from services.agent.loop.journal import MemoryJournal, StepKey, StepKind
from shared.errors import RunLost
from tests.support.model.doubles import calls, says
from tests.support.model.loop import BOB, scripted_loop, until, work

WITH_PAY = work(tools=("lookup", "pay"))
ORDER = '{"order":7}'


async def test_the_start_of_a_call_that_must_not_be_made_twice_is_committed() -> None:
    it = scripted_loop(calls(("lookup", "{}"), ("pay", ORDER), ("bob", BOB)), says("Paid."))
    await it.run(WITH_PAY)
    assert it.journal.starts == {StepKey(1, 2): ("pay", ORDER)}
    assert it.journal.call_in_doubt() is None


async def test_no_arguments_are_an_empty_object() -> None:
    it = scripted_loop(calls(("pay", " ")), says("Paid."))
    await it.run(WITH_PAY)
    assert it.journal.starts == {StepKey(1, 1): ("pay", "{}")}


async def test_it_is_committed_before_the_tool_acts() -> None:
    class Lost(MemoryJournal):
        async def start(self, key: StepKey, name: str, arguments: str) -> None:
            raise RunLost("taken meanwhile")

    it = scripted_loop(calls(("pay", ORDER)))
    it.journal = Lost()
    with pytest.raises(RunLost):
        await it.run(WITH_PAY)
    assert it.performed == set()


async def test_a_run_cut_off_while_the_tool_acts_is_in_doubt_of_it() -> None:
    class Cut(MemoryJournal):
        async def record(self, key: StepKey, kind: StepKind, name: str, output: str) -> None:
            if kind == "tool":
                raise RunLost("killed")
            await super().record(key, kind, name, output)

    it = scripted_loop(calls(("pay", ORDER)))
    it.journal = Cut()
    with pytest.raises(RunLost):
        await it.run(WITH_PAY)
    doubt = MemoryJournal(it.journal.steps, it.journal.starts).call_in_doubt()
    assert 'pay was called with {"order":7}' in str(doubt)


async def test_a_call_with_wrong_arguments_never_begins() -> None:
    it = scripted_loop(calls(("pay", "[")), says("Sorry."))
    await it.run(WITH_PAY)
    assert it.journal.starts == {}


async def test_calls_side_by_side_all_begin_and_end() -> None:
    it = scripted_loop(calls(("pay", ORDER), ("pay", ORDER)), says("Paid."))
    await it.run(WITH_PAY)
    assert sorted(it.journal.starts) == [StepKey(1, 1), StepKey(1, 2)]
    assert it.journal.call_in_doubt() is None


async def test_a_cancelled_run_leaves_the_doubt_of_the_tool_that_was_acting() -> None:
    acting = asyncio.Event()

    class Acting(MemoryJournal):
        async def start(self, key: StepKey, name: str, arguments: str) -> None:
            await super().start(key, name, arguments)
            acting.set()
            await asyncio.Event().wait()

    it = scripted_loop(calls(("pay", ORDER)))
    it.journal = Acting()
    running = asyncio.create_task(it.run(WITH_PAY))
    await until(acting.is_set)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert it.journal.call_in_doubt() is not None
