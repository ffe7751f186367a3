"""A request as the script sees it."""

from __future__ import annotations

from services.agent.llm.chat import (
    Assistant,
    ChatMessage,
    System,
    ToolCall,
    ToolResult,
    ToolSpec,
    User,
)
from services.agent.llm.schema_tools import choice_schema, render_history
from services.scripted.conversation import Request, read

BOB = ToolSpec(name="bob", description="Writes.", parameters={"type": "object"})


def _native() -> list[dict[str, object]]:
    call = {"id": "", "type": "function", "function": {"name": "bob", "arguments": "{}"}}
    return [
        {"role": "system", "content": "You are Alice.\n- From tom: it rains.\n  From eve: no."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": None, "tool_calls": [call, call]},
        {"role": "tool", "tool_call_id": "", "content": "one"},
        {"role": "tool", "tool_call_id": "", "content": "two"},
    ]


def test_results_without_ids_are_matched_by_their_order() -> None:
    talk = read(Request.model_validate({"messages": _native()}))
    assert (talk.asked, talk.turn, talk.results) == ("Hello", 1, {"bob": "two"})


def test_each_peers_note_is_read_from_the_system_text() -> None:
    talk = read(Request.model_validate({"messages": _native()}))
    assert talk.notes == {"tom": "it rains."}


def test_directives_in_the_earlier_tasks_that_a_tick_lists_are_ignored() -> None:
    tick = "Sum up:\n- asked: Hello [[fail 503 2]] [[rep\n  answered: Hi"
    talk = read(Request.model_validate({"messages": [{"role": "user", "content": tick}]}))
    assert (talk.asked, talk.directives.fault) == (tick, None)


def test_no_tool_is_offered_where_the_choice_forbids_them() -> None:
    tool = {"type": "function", "function": {"name": "bob"}}
    fields = {"messages": _native(), "tools": [tool]}
    assert read(Request.model_validate(fields)).tools == {"bob": {}}
    assert not read(Request.model_validate(fields | {"tool_choice": "none"})).tools


def test_the_schema_protocol_of_the_agents_reads_like_a_native_conversation() -> None:
    history: list[ChatMessage] = [
        System(content="You are Alice."),
        User(content="Hello"),
        Assistant(content=None, tool_calls=(ToolCall(id="1", name="bob", arguments="{}"),)),
        ToolResult(call_id="1", name="bob", content="Dear all"),
    ]
    messages = [
        {"role": type(message).__name__.lower(), "content": getattr(message, "content", None)}
        for message in render_history(history, [BOB])
    ]
    schema = {"type": "json_schema", "json_schema": {"schema": choice_schema(history, [BOB])}}
    talk = read(Request.model_validate({"messages": messages, "response_format": schema}))
    assert talk.by_schema
    assert list(talk.tools) == ["bob"]
    assert (talk.asked, talk.turn, talk.results) == ("Hello", 1, {"bob": "Dear all"})
