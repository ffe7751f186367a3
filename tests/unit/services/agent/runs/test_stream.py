"""The text of a run as it is published, without a broker."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from services.agent.runs.stream import GATHER_S, MOST_CHARS, RunStream
from shared.broker.link import Link
from shared.broker.publisher import Publisher
from shared.contract.stream import StreamPart
from shared.errors import ModelUnavailable
from shared.store import Store
from tests.support.processes.instances import NOWHERE
from tests.support.stores.steps import owned


class Recorded(Publisher):
    """Keeps what it would send."""

    def __init__(self) -> None:
        super().__init__(*(Link(NOWHERE, f"test {number}") for number in range(3)))
        self.parts: list[StreamPart] = []
        self.keys: set[str] = set()

    def stream(self, root_id: str, part: StreamPart) -> None:
        self.parts.append(part)
        self.keys.add(root_id)


@pytest.fixture
async def stream(store: Store) -> RunStream:
    return RunStream(Recorded(), replace(await owned(store), root_id="root", epoch=2, fence=5))


def parts(stream: RunStream) -> list[StreamPart]:
    assert isinstance(stream.publisher, Recorded)
    return stream.publisher.parts


async def test_the_first_piece_is_published_at_once_and_later_ones_together(
    stream: RunStream,
) -> None:
    with stream.turn(3) as take:
        for piece in ("Good", " day", ", ", "Alice"):
            take(piece)
        assert [it.text for it in parts(stream)] == ["Good"]
        await asyncio.sleep(2 * GATHER_S)
        take(".")
    assert [it.text for it in parts(stream)] == ["Good", " day, Alice", "."]
    assert [it.sequence for it in parts(stream)] == [0, 1, 2]
    found = {(it.run_id, it.epoch, it.attempt, it.turn, it.retry) for it in parts(stream)}
    assert found == {(stream.run.run_id, 2, 5, 3, 0)}
    assert isinstance(stream.publisher, Recorded)
    assert stream.publisher.keys == {"root"}


async def test_a_fast_model_makes_few_messages(stream: RunStream) -> None:
    with stream.turn(1) as take:
        for _ in range(10_000):
            take("x")
    assert "".join(it.text for it in parts(stream)) == "x" * 10_000
    assert len(parts(stream)) <= 2 + 10_000 // MOST_CHARS


async def test_a_reply_that_comes_as_a_whole_is_cut_into_parts(stream: RunStream) -> None:
    with stream.turn(1) as take:
        take("y" * (2 * MOST_CHARS + 1))
    assert [len(it.text) for it in parts(stream)] == [MOST_CHARS, MOST_CHARS, 1]


async def test_a_reply_that_begins_again_has_a_new_number(stream: RunStream) -> None:
    with stream.turn(1) as take:
        take("Hel")
        take("lo")
        take("")
        take("Good day")
    assert [(it.retry, it.sequence, it.text) for it in parts(stream)] == [
        (0, 0, "Hel"),
        (1, 0, "Good day"),
    ]


async def test_after_an_error_nothing_more_is_published(stream: RunStream) -> None:
    with suppress(ModelUnavailable), stream.turn(1) as take:
        take("Hel")
        take("lo")
        raise ModelUnavailable("gone")
    await asyncio.sleep(2 * GATHER_S)
    assert [it.text for it in parts(stream)] == ["Hel"]


async def test_text_that_json_cannot_hold_is_replaced(stream: RunStream) -> None:
    with stream.turn(1) as take:
        take("a\0b\ud800c")
    assert [it.text for it in parts(stream)] == ["ab?c"]
