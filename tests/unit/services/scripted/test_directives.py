"""Directives as tests write them."""

from __future__ import annotations

import pytest

from services.scripted.directives import Call, Fault, directives_for, parse
from shared.errors import BadMessage


def test_directives_are_taken_out_of_the_text() -> None:
    said, (orders,) = parse("Hello [[latency 0.5]] Bob\n[[fail 429 1 retry-after 2]]")
    assert said == "Hello Bob"
    assert orders.latency_s == 0.5
    assert orders.fault == Fault(429, 1, retry_after_s=2)


def test_words_in_brackets_that_are_no_directive_stay() -> None:
    text = "See [[Home page]] and [1] [[reply"
    said, (orders,) = parse(text)
    assert said == text
    assert not orders.calls


def test_a_directive_inside_a_call_belongs_to_the_callee() -> None:
    said, (orders,) = parse('[[call bob {"prompt": "Hi [[latency 1]]"}]] now')
    assert orders.calls == (Call("bob", {"prompt": "Hi [[latency 1]]"}),)
    assert (said, orders.latency_s) == ("now", 0.0)


def test_each_part_is_for_one_turn_and_the_calls_of_the_last_are_made_once() -> None:
    _, parts = parse("[[call a]] [[then]] [[call b]] [[reply done]]")
    turns = [directives_for(parts, turn) for turn in range(3)]
    assert [[call.tool for call in orders.calls] for orders in turns] == [["a"], ["b"], []]
    assert turns[2].reply == "done"


def test_again_repeats_the_calls() -> None:
    _, parts = parse("[[call a]] [[again]]")
    assert directives_for(parts, 7).calls == (Call("a"),)


@pytest.mark.parametrize(
    "text",
    ["[[latency soon]]", "[[fail 503]]", "[[fail 200 1]]", "[[call bob {]]", "[[call]]"],
)
def test_a_directive_that_makes_no_sense_is_named(text: str) -> None:
    with pytest.raises(BadMessage, match=r"\[\["):
        parse(text)
