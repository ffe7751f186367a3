from __future__ import annotations

from services.gateway.openai.wire.texts import MOST_VERSIONS, Piece, StreamedText, TextVersion
from services.gateway.tasks.happenings import Text


def test_text_is_sent_as_it_comes_and_a_new_turn_has_a_new_place() -> None:
    text = StreamedText()
    assert text.add(Text(1, "I ask ")) == Piece(TextVersion(1), "I ask ")
    assert text.add(Text(1, "bob.")) == Piece(TextVersion(1), "bob.")
    assert text.add(Text(2, "Done")) == Piece(TextVersion(2), "Done")
    assert text.end("Done") is None


def test_the_same_text_said_again_after_a_takeover_is_not_sent_again() -> None:
    text = StreamedText()
    text.add(Text(1, "Hello wor"))
    text.restart(1)
    assert text.add(Text(1, "Hello")) is None
    assert text.add(Text(1, " world")) == Piece(TextVersion(1), "ld")
    assert text.add(Text(1, "!")) == Piece(TextVersion(1), "!")
    assert text.end("Hello world!") is None


def test_another_text_after_a_takeover_is_sent_whole_as_the_next_version() -> None:
    text = StreamedText()
    text.add(Text(1, "Hello wor"))
    text.restart(1)
    assert text.add(Text(1, "Hel")) is None
    assert text.add(Text(1, "p is near")) == Piece(TextVersion(1, 1), "Help is near")
    assert text.add(Text(1, ".")) == Piece(TextVersion(1, 1), ".")
    for _ in range(MOST_VERSIONS + 2):
        text.restart(1)
        text.add(Text(1, "Other"))
        text.restart(1)
        text.add(Text(1, "Again"))
    assert text.place == TextVersion(1, MOST_VERSIONS - 1)


def test_the_end_completes_what_was_not_sent() -> None:
    text = StreamedText()
    assert text.end("Hello") == Piece(TextVersion(0), "Hello")
    text = StreamedText()
    text.add(Text(3, "Hel"))
    assert text.end("Hello") == Piece(TextVersion(3), "lo")
    text = StreamedText()
    text.add(Text(3, "Hxl"))
    assert text.end("Hello") == Piece(TextVersion(3, 1), "Hello")


def test_white_space_around_the_answer_is_no_other_answer() -> None:
    text = StreamedText()
    text.add(Text(1, "\nHello\n"))
    assert text.end("Hello") is None


def test_after_a_gap_nothing_is_sent_until_the_text_comes_whole() -> None:
    text = StreamedText()
    text.add(Text(1, "One "))
    assert text.add(Text(1, "three ", gap=True)) is None
    assert text.add(Text(1, "four")) is None
    text.restart(1)
    assert text.add(Text(1, "One two three four")) == Piece(TextVersion(1), "two three four")
    assert text.add(Text(2, "late", gap=True)) is None
    assert text.end("Too late") == Piece(TextVersion(1, 1), "Too late")


def test_text_of_an_earlier_turn_is_left_out() -> None:
    text = StreamedText()
    text.add(Text(2, "Done"))
    text.restart(1)
    assert text.add(Text(1, "I ask bob.")) is None
    assert text.place == TextVersion(2)
