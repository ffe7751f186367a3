"""Parts of a text as they arrive: in order, with gaps, of several attempts."""

from __future__ import annotations

from shared.client.run_text import RunText
from shared.contract.stream import StreamPart


def part(
    text: str,
    sequence: int = 0,
    *,
    turn: int = 1,
    attempt: int = 1,
    epoch: int = 1,
    retry: int = 0,
    run_id: str = "r1",
) -> StreamPart:
    return StreamPart(
        run_id=run_id,
        epoch=epoch,
        attempt=attempt,
        turn=turn,
        retry=retry,
        sequence=sequence,
        text=text,
    )


def put_together(*parts: StreamPart) -> dict[int, str]:
    text = RunText("r1")
    for it in parts:
        text.add(it)
    return text.turns


def test_parts_add_up_by_turn() -> None:
    parts = (part("Let me "), part("see.", 1), part("It is", turn=2), part(" so.", 1, turn=2))
    assert put_together(*parts) == {1: "Let me see.", 2: "It is so."}


def test_a_gap_is_marked_and_a_copy_is_dropped() -> None:
    assert put_together(part("a"), part("d", 3), part("d", 3), part("e", 4)) == {1: "a…de"}
    assert put_together(part("late", 7)) == {1: "…late"}


def test_a_resumed_run_begins_its_turn_anew_and_keeps_the_turns_before() -> None:
    before = (part("One."), part("Tw", turn=2), part("o", 1, turn=2))
    resumed = (part("Second.", turn=2, attempt=3), part("o", 2, turn=2))
    assert put_together(*before, *resumed) == {1: "One.", 2: "Second."}


def test_a_replayed_run_counts_its_attempts_after_those_of_the_epoch_before() -> None:
    parts = (part("old", attempt=9), part("new", epoch=2), part("x", 1, attempt=9))
    assert put_together(*parts) == {1: "new"}


def test_a_reply_that_the_model_begins_again_replaces_what_it_had_said() -> None:
    parts = (
        part("Hel"),
        part("lo", 1),
        part("Good day", retry=1),
        part("x", 2),
        part("!", 1, retry=1),
    )
    assert put_together(*parts) == {1: "Good day!"}


def test_parts_of_another_run_are_dropped() -> None:
    assert put_together(part("other", run_id="r2")) == {}


def test_a_cleared_text_is_empty() -> None:
    text = RunText("r1")
    text.add(part("a"))
    text.clear()
    assert text.turns == {}
