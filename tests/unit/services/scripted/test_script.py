"""Rules, templates, and what is said where no rule fits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.scripted.conversation import Conversation, Schema
from services.scripted.directives import Directives
from services.scripted.script import BRIEF_LENGTH, Line, Rule, Script, Turn, brief

PROMPT: Schema = {
    "type": "object",
    "properties": {"prompt": {"type": "string"}},
    "required": ["prompt"],
}
BOB_WRITES = Rule(
    name="Ann has Bob write",
    system="Ann",
    asked=r"about (?P<topic>\w+)",
    tools=["bob"],
    turns=[Turn(calls={"bob": {"prompt": "On $topic"}}), Turn(reply="$bob, costs $5 ($topic)")],
)

BOTH = Rule(
    name="both in one turn",
    turns=[Turn(calls={"bob": {"prompt": "1"}, "eve": {"prompt": "2"}}), Turn(reply="done")],
)


def talk(
    said: str,
    turn: int = 0,
    *tools: str,
    results: dict[str, str] | None = None,
    by_schema: bool = False,
) -> Conversation:
    offered = dict.fromkeys(tools, PROMPT)
    return Conversation(
        "You are Ann.", said, turn, Directives(), offered, results or {}, {}, by_schema
    )


def calls(line: Line) -> list[tuple[str, object]]:
    return [(call.tool, call.arguments.get("prompt")) for call in line.calls]


def test_a_rule_is_played_turn_by_turn() -> None:
    script = Script([BOB_WRITES])
    assert calls(script.line(talk("Write about tea", 0, "bob"))) == [("bob", "On tea")]
    last = script.line(talk("Write about tea", 1, "bob", results={"bob": "Done"}))
    assert last.text == "Done, costs $5 (tea)"


def test_a_rule_without_its_tools_does_not_fit() -> None:
    line = Script([BOB_WRITES]).line(talk("Write about tea", 0, "eve"))
    assert calls(line) == [("eve", "Write about tea")]


def test_a_rule_that_is_asked_without_tools_answers_with_the_tool_results() -> None:
    script = Script([BOB_WRITES])
    assert script.line(talk("Sum up about tea")).text == 'I was asked: "Sum up about tea".'
    last = script.line(talk("Sum up about tea", results={"bob": "Done"}))
    assert last.text == "Done, costs $5 (tea)"


def test_without_a_rule_each_tool_is_called_once_and_its_result_reported() -> None:
    script = Script([])
    first = script.line(talk("Hello", 0, "bob", "eve"))
    assert calls(first) == [("bob", "Hello"), ("eve", "Hello")]
    results = {"bob": "Hi", "eve": "Ho"}
    last = script.line(talk("Hello", 1, "bob", "eve", results=results))
    assert last.text == 'I was asked: "Hello". bob returned: "Hi". eve returned: "Ho".'


@pytest.mark.parametrize("rules", [[], [BOTH]])
def test_where_a_turn_is_one_choice_the_tools_are_called_one_by_one(rules: list[Rule]) -> None:
    script = Script(rules)
    first = script.line(talk("Hello", 0, "bob", "eve", by_schema=True)).calls
    second = script.line(talk("Hello", 1, "bob", "eve", results={"bob": "x"}, by_schema=True)).calls
    assert (first[0].tool, second[0].tool) == ("bob", "eve")


def test_only_the_tools_that_the_text_names_are_called() -> None:
    script = Script([BOB_WRITES])
    assert calls(script.line(talk("Ask Eve about tea", 0, "bob", "eve"))) == [
        ("eve", "Ask Eve about tea")
    ]


def test_a_tool_for_which_the_text_has_no_arguments_is_not_called() -> None:
    day: Schema = {"properties": {"day": {"type": "string"}}, "required": ["day"]}
    asked = replace(talk("What is the capital of France?"), tools={"weekday": day})
    assert Script([]).line(asked).text == 'I was asked: "What is the capital of France?".'


def test_long_texts_are_cut_where_they_are_repeated() -> None:
    assert len(brief("word " * 1000)) == BRIEF_LENGTH


def test_values_of_a_result_in_json_are_filled_in_and_are_numbers_where_the_tool_wants_them() -> (
    None
):
    pay: Schema = {"properties": {"amount": {"type": "number"}, "to": {"type": "string"}}}
    arguments = {"amount": "${bob.price}", "to": "${bob.name} ${bob.other} $5"}
    script = Script([Rule(name="pay", turns=[Turn(calls={"pay": arguments})])])
    asked = talk("Pay", results={"bob": '{"price": 18.5, "name": "7"}', "eve": "no JSON"})
    [made] = script.line(replace(asked, tools={"pay": pay})).calls
    assert made.arguments == {"amount": 18.5, "to": "7 ${bob.other} $5"}


def test_a_rule_can_depend_on_the_results_of_tools() -> None:
    denied = Rule(name="denied", results={"bob": "(?i)denied"}, turns=[Turn(reply="no")])
    script = Script([denied, BOB_WRITES])
    assert script.line(talk("about tea", 1, "bob", results={"bob": "Denied."})).text == "no"
    assert calls(script.line(talk("about tea", 0, "bob"))) == [("bob", "On tea")]
