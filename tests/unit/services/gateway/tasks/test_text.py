from __future__ import annotations

from services.gateway.tasks.happenings import Restart, Text
from services.gateway.tasks.text import FollowedText
from shared.contract.stream import StreamPart


def part(
    sequence: int, text: str, turn: int = 1, attempt: int = 1, retry: int = 0, run: str = "r1"
) -> StreamPart:
    return StreamPart(
        run_id=run, epoch=1, attempt=attempt, turn=turn, retry=retry, sequence=sequence, text=text
    )


def told(text: FollowedText, *parts: StreamPart) -> list[Text | Restart]:
    return [it for one in parts for it in text.add(one)]


def test_pieces_come_in_order_and_copies_only_once() -> None:
    text = FollowedText("r1")
    pieces = told(
        text, part(0, "Hello"), part(0, "Hello"), part(1, " there"), part(0, "X", run="r2")
    )
    assert pieces == [Text(1, "Hello"), Text(1, " there")]
    assert list(text.record(1, "Hello there")) == []


def test_a_takeover_restarts_the_turn_that_is_repeated() -> None:
    text = FollowedText("r1")
    told(text, part(0, "One."), part(0, "Tw", turn=2))
    assert told(text, part(0, "Two.", turn=2, attempt=2)) == [
        Restart(2, "taken over"),
        Text(2, "Two."),
    ]
    assert told(text, part(1, "late", turn=2, attempt=1)) == []
    assert list(text.record(2, "Two.")) == []


def test_a_takeover_between_turns_restarts_nothing() -> None:
    text = FollowedText("r1")
    told(text, part(0, "One."))
    list(text.record(1, "One."))
    assert told(text, part(0, "Two.", turn=2, attempt=2)) == [Text(2, "Two.")]


def test_a_reply_that_the_model_begins_again_restarts_its_turn() -> None:
    text = FollowedText("r1")
    assert told(text, part(0, "Hel"), part(0, "Hello", retry=1)) == [
        Text(1, "Hel"),
        Restart(1, "retried"),
        Text(1, "Hello"),
    ]
    assert told(text, part(1, "old", retry=0)) == []


def test_lost_pieces_are_made_up_for_by_the_reply_in_the_journal() -> None:
    text = FollowedText("r1")
    assert told(text, part(2, "c")) == [Text(1, "c", gap=True)]
    assert list(text.record(1, "abc")) == [Restart(1, "lost"), Text(1, "abc")]
    assert told(text, part(3, "d")) == [], "the journal has the whole reply"


def test_a_client_that_has_received_nothing_gets_the_whole_reply() -> None:
    assert list(FollowedText("r1").record(1, "abc")) == [Text(1, "abc")]


def test_the_end_of_a_reply_that_has_not_come_is_made_up_for() -> None:
    text = FollowedText("r1")
    told(text, part(0, "ab"))
    assert list(text.record(1, "abc")) == [Text(1, "c")]
    assert told(text, part(2, "c")) == [], "it came after all"


def test_a_reply_without_text_says_nothing() -> None:
    assert list(FollowedText("r1").record(1, " ")) == []
