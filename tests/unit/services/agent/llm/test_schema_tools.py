from __future__ import annotations

import json
from collections.abc import Sequence

import jsonschema
import pytest
from pydantic import JsonValue

from services.agent.llm import schema_tools
from services.agent.llm.chat import (
    Assistant,
    ChatMessage,
    Completion,
    System,
    ToolCall,
    ToolResult,
    ToolSpec,
    User,
)
from services.agent.loop.tool_calls import PARAMETERS
from shared.contract.prompts import ANSWER_REMINDER
from shared.definitions.functions import JsonObject
from shared.errors import ModelError

BOB = ToolSpec(name="bob", description="Writes.", parameters=PARAMETERS)
ORDER: JsonValue = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
LOOKUP = ToolSpec(
    name="lookup",
    description="Finds.",
    parameters={
        "type": "object",
        "properties": {"order": {"$ref": "#/$defs/Order"}},
        "required": ["order"],
        "$defs": {"Order": ORDER},
    },
)

USED: list[ChatMessage] = [
    User(content="Hello"),
    Assistant(
        content=None, tool_calls=(ToolCall(id="1", name="bob", arguments='{"prompt": "x"}'),)
    ),
    ToolResult(call_id="1", name="bob", content="Dear Sir"),
]


def allows(choice: JsonValue, *tools: ToolSpec) -> bool:
    return valid(choice, [User(content="Hello")], tools)


def valid(
    choice: JsonValue,
    history: Sequence[ChatMessage],
    tools: Sequence[ToolSpec],
    answer: JsonObject | None = None,
) -> bool:
    schema = schema_tools.choice_schema(history, tools, answer)
    assert schema
    return jsonschema.Draft202012Validator(schema).is_valid(choice)


def said(content: JsonValue, finish_reason: str = "stop") -> Completion:
    text = content if isinstance(content, str) else json.dumps(content)
    return schema_tools.parse_choice(Completion(content=text, finish_reason=finish_reason))


@pytest.mark.parametrize(
    ("choice", "allowed"),
    [
        ({"action": "answer", "answer": "Hi."}, True),
        ({"action": "bob", "arguments": {"prompt": "write"}}, True),
        ({"action": "lookup", "arguments": {"order": {"id": 1}}}, True),
        ({"action": "lookup", "arguments": {"order": {"id": "x"}}}, False),
        ({"action": "bob", "arguments": {}}, False),
        ({"action": "bob", "arguments": {"prompt": ""}}, False),
        ({"action": "answer", "answer": ""}, False),
        ({"action": "bob", "answer": "Hi."}, False),
        ({"action": "nobody", "arguments": {}}, False),
        ({"answer": "Hi."}, False),
    ],
)
def test_the_schema_allows_an_answer_or_one_call(choice: JsonValue, allowed: bool) -> None:
    assert allows(choice, BOB, LOOKUP) is allowed


def test_definitions_of_two_tools_do_not_collide() -> None:
    other: JsonValue = {"type": "string"}
    parameters = LOOKUP.parameters | {"$defs": {"Order": other}}
    search = ToolSpec(name="search", description="", parameters=parameters)
    assert allows({"action": "lookup", "arguments": {"order": {"id": 1}}}, LOOKUP, search)
    assert allows({"action": "search", "arguments": {"order": "x"}}, LOOKUP, search)


def test_without_tools_any_text_is_an_answer() -> None:
    assert schema_tools.choice_schema([User(content="Hello")], []) is None
    assert schema_tools.render_history([User(content="Hello")], []) == [User(content="Hello")]


def test_once_the_tools_are_taken_away_an_answer_is_the_only_choice_left() -> None:
    assert valid({"action": "answer", "answer": "Hi."}, USED, [])
    assert not valid({"action": "bob", "arguments": {"prompt": "write"}}, USED, [])


def test_the_tools_are_explained_in_the_system_message() -> None:
    system, user = schema_tools.render_history(
        [System(content="Be brief."), User(content="Hello")], [BOB]
    )
    assert isinstance(system, System)
    assert system.content.startswith(
        "Be brief.\n\nYou have these tools:\n- bob: Writes. Its arguments: prompt (what to do; "
    )
    assert '{"action": "bob", "arguments": {"prompt": "...", "context": "..."}}' in system.content
    assert user == User(content="Hello")


def test_an_argument_without_a_description_is_explained_by_its_schema() -> None:
    sent = schema_tools.render_history([User(content="Hello")], [LOOKUP])[0].content
    assert sent is not None
    assert 'Its arguments: order ({"$ref": "#/$defs/Order"}).' in sent


def test_a_tool_without_arguments_is_explained_too() -> None:
    clock = ToolSpec(name="clock", description="Tells the time.", parameters={"type": "object"})
    sent = schema_tools.render_history([User(content="Hello")], [clock])[0].content
    assert sent is not None
    assert '{"action": "clock", "arguments": {}}' in sent


def test_without_a_system_message_one_is_made() -> None:
    assert isinstance(schema_tools.render_history([User(content="Hello")], [BOB])[0], System)


def test_calls_and_results_are_sent_as_text_in_turns() -> None:
    asked = (
        ToolCall(id="1", name="bob", arguments='{"prompt": "write"}'),
        ToolCall(id="2", name="lookup", arguments="{}"),
    )
    history: list[ChatMessage] = [
        User(content="Hello"),
        Assistant(content="Well.", tool_calls=asked),
        ToolResult(call_id="1", name="bob", content="Dear Sir"),
        ToolResult(call_id="2", name="lookup", content="found"),
        User(content="Go on."),
    ]
    assert schema_tools.render_history(history, []) == [
        User(content="Hello"),
        Assistant(content='Well.\nI use bob: {"prompt": "write"}\nI use lookup: {}'),
        User(content="Result of bob: Dear Sir\n\nResult of lookup: found\n\nGo on."),
    ]


def test_after_a_result_the_last_words_are_that_the_model_can_answer() -> None:
    assert str(schema_tools.render_history(USED, [BOB])[-1].content).endswith(ANSWER_REMINDER)
    assert ANSWER_REMINDER not in str(schema_tools.render_history(USED, []))
    assert ANSWER_REMINDER not in str(
        schema_tools.render_history([*USED, User(content="Go on.")], [BOB])
    )


def test_an_answer_is_content() -> None:
    assert said({"action": "answer", "answer": "Hi."}).content == "Hi."


def test_a_choice_of_a_tool_is_a_call() -> None:
    got = said({"action": "bob", "arguments": {"prompt": "write"}})
    assert got.content is None
    assert got.tool_calls == (ToolCall(name="bob", arguments='{"prompt": "write"}'),)


def test_a_tool_called_answer_can_be_called() -> None:
    assert said({"action": "answer", "arguments": {}}).tool_calls[0].name == "answer"


def test_an_answer_that_was_cut_off_is_kept_as_far_as_it_goes() -> None:
    got = said('{"action": "answer", "answer": "Once upon', "length")
    assert (got.content, got.finish_reason) == ("Once upon", "length")


def test_a_call_that_was_cut_off_is_still_a_call_that_was_cut_off() -> None:
    got = said('{"action": "bob", "arguments": {"prompt": "wri', "length")
    assert (got.tool_calls[0].name, got.finish_reason) == ("bob", "length")


def test_a_choice_that_was_cut_off_early_has_no_text() -> None:
    assert said('{"act', "length").content is None


@pytest.mark.parametrize("empty", [None, "", " "])
def test_an_empty_reply_stays_empty(empty: str | None) -> None:
    assert schema_tools.parse_choice(Completion(content=empty)).text == ""


@pytest.mark.parametrize("content", ["Sure! I can help.", "[]", '{"action": "bob"}', '{"a": 1}'])
def test_a_reply_outside_the_schema_is_a_model_error(content: str) -> None:
    with pytest.raises(ModelError, match="did not keep to the JSON schema"):
        said(content)


def test_the_answer_has_the_schema_that_is_asked_for() -> None:
    schema: JsonObject = {
        "type": "object",
        "properties": {"order": {"$ref": "#/$defs/Order"}},
        "required": ["order"],
        "$defs": {"Order": ORDER},
    }

    def takes(choice: JsonValue) -> bool:
        return valid(choice, [User(content="Hello")], [LOOKUP], schema)

    assert takes({"action": "answer", "answer": {"order": {"id": 1}}})
    assert takes({"action": "lookup", "arguments": {"order": {"id": 1}}})
    assert not takes({"action": "answer", "answer": {"order": {"id": "x"}}})
    assert not takes({"action": "answer", "answer": "Hi."})


def test_an_answer_that_is_json_is_its_text() -> None:
    assert said({"action": "answer", "answer": {"order": None}}).content == '{"order": null}'
