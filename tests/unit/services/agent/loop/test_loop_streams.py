"""The text that a loop passes on while its model writes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from services.agent.llm.chat import OnText
from services.agent.loop.journal import MemoryJournal
from shared.errors import ModelUnavailable
from tests.support.model.doubles import calls, says
from tests.support.model.loop import BOB, scripted_loop, work


@dataclass
class Heard:
    """What was taken in which turn, and the turns whose replies have ended."""

    texts: list[tuple[int, str]] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)

    @contextmanager
    def turn(self, turn: int) -> Iterator[OnText]:
        yield lambda text: self.texts.append((turn, text))
        self.ended.append(turn)


async def test_each_reply_is_passed_on_under_its_turn_also_if_it_ends_in_calls() -> None:
    it, heard = scripted_loop(), Heard()
    first = calls(("bob", BOB)).model_copy(update={"content": "I ask Bob."})
    it.model.script = [first, says(None), says("Done.")]
    it.stream = heard.turn
    await it.run()
    assert heard.texts == [(1, "I ask Bob."), (3, "Done.")]
    assert heard.ended == [1, 2, 3]


async def test_the_conclusion_at_a_limit_is_passed_on_too() -> None:
    it, heard = scripted_loop(calls(("lookup", "{}")), says("So far.")), Heard()
    it.stream = heard.turn
    await it.run(work(turns=1))
    assert heard.texts == [(2, "So far.")]


async def test_a_resumed_run_passes_on_only_the_replies_that_it_asks_for_itself() -> None:
    first = calls(("lookup", "{}")).model_copy(update={"content": "I look."})
    it = scripted_loop(first, ModelUnavailable("gone"))
    with pytest.raises(ModelUnavailable):
        await it.run()
    resumed, heard = scripted_loop(says("Found.")), Heard()
    resumed.journal, resumed.stream = MemoryJournal(it.journal.steps), heard.turn
    await resumed.run()
    assert heard.texts == [(2, "Found.")]


async def test_without_a_stream_the_model_is_asked_for_a_whole_reply() -> None:
    it = scripted_loop(says("Done."))
    await it.run()
    assert it.model.streamed == [False]
