from __future__ import annotations

import json
from typing import Any

import pytest

from services.gateway.openai.conversation import Message
from services.gateway.openai.requests import ChatRequest, ResponsesRequest
from services.gateway.openai.wire.errors import RequestError
from shared.definitions.model import Definition

BOB = Definition(name="bob")
FORM = Definition(name="form", output={"type": "object"})
SAID = [{"role": "user", "content": "Hi"}]


def chat(**fields: Any) -> ChatRequest:
    given = {"model": "bob", "messages": SAID} | fields
    return ChatRequest.model_validate_json(json.dumps(given))


def response(**fields: Any) -> ResponsesRequest:
    given = {"model": "bob", "input": "Hi"} | fields
    return ResponsesRequest.model_validate_json(json.dumps(given))


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 2, "top_p": 1, "max_tokens": 5, "stop": ["x"], "seed": 1, "logprobs": True},
        {"stream": None, "stream_options": None, "n": 1, "tool_choice": None},
        {"tools": [{"type": "function"}], "tool_choice": "auto", "parallel_tool_calls": False},
        {"response_format": {"type": "text"}, "chat_id": "1", "params": {"a": {"b": None}}},
    ],
)
def test_fields_that_change_nothing_and_nulls_are_accepted(fields: dict[str, Any]) -> None:
    assert chat(**fields).read(BOB) == [Message("user", "Hi")]
    assert not chat(**fields).stream


def test_the_usage_comes_only_if_it_is_wanted() -> None:
    assert chat(stream_options={"include_usage": True}).wants_usage
    assert not chat(stream_options={"include_usage": None}).wants_usage
    assert not chat().wants_usage


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"tool_choice": "required"},
        {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"response_format": {"type": "json_schema", "json_schema": {}}},
    ],
)
def test_what_an_answer_could_not_satisfy_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as refused:
        chat(**fields).read(BOB)
    assert refused.value.param == next(iter(fields))


def test_json_is_asked_for_in_vain_unless_the_agents_answers_have_a_schema() -> None:
    assert chat(response_format={"type": "json_object"}).read(FORM)
    assert response(text={"format": {"type": "json_schema"}}).read(FORM)
    with pytest.raises(RequestError, match="form of an answer"):
        response(text={"format": {"type": "json_schema"}}).read(BOB)


def test_items_of_an_input_are_messages_and_results_and_others_are_left_out() -> None:
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "One"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "item_reference", "id": "msg_1"},
        {"type": "function_call_output", "call_id": "c1", "output": "42"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "2"}]},
    ]
    assert response(input=items, instructions="Be brief.").read(BOB) == [
        Message("system", "Be brief."),
        Message("user", "One"),
        Message("tool", "42"),
        Message("assistant", "2"),
    ]


def test_a_conversation_is_named_by_a_text_or_an_object() -> None:
    assert response(conversation="conv_1").session == "conv_1"
    assert response(conversation={"id": "conv_1"}).session == "conv_1"
    assert response().session is None


def test_a_response_in_the_background_can_be_followed_later() -> None:
    assert response(background=True).streamed
    assert not response().streamed
