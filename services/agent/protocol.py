"""Tools for models that have none: each turn is a choice that a JSON schema constrains.

The endpoint must honour `response_format: json_schema`. The model picks `answer` or one
tool; calls and results of the history are told as plain text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import JsonValue
from pydantic_core import from_json

from services.agent.chat import (
    Assistant,
    ChatMessage,
    Completion,
    System,
    ToolCall,
    ToolResult,
    ToolSpec,
    User,
)
from shared.errors import ModelError
from shared.tools import JsonObject

MAX_TOKENS = 512
"""Output tokens: a small model that never ends its string would fill its context, for minutes."""

TOOLS = "You have these tools:"
ANSWER = (
    "Use a tool first. Once you have its result, or if no tool can help, "
    'reply {"action": "answer", "answer": "your text"}.'
)
"""After the tools: a small model picks what it read of first, nearly always."""


def response_format(tools: Sequence[ToolSpec]) -> JsonObject:
    """The field that constrains a reply; empty without tools: then any text is an answer."""
    if not tools:
        return {}
    definitions: JsonObject = {}
    calls = (_choice(tool.name, "arguments", _hoisted(tool, definitions)) for tool in tools)
    choices: list[JsonValue] = [_choice("answer", "answer", {"type": "string"}), *calls]
    schema: JsonObject = {"anyOf": choices, **({"$defs": definitions} if definitions else {})}
    named: JsonObject = {"name": "choice", "strict": True, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def rendered(history: Sequence[ChatMessage], tools: Sequence[ToolSpec]) -> list[ChatMessage]:
    """The history without tool messages. Roles alternate: many chat templates insist on it."""
    told: list[ChatMessage] = []
    for message in history:
        plain = _plain(message)
        last = told[-1] if told else None
        if isinstance(plain, User) and isinstance(last, User):
            told[-1] = User(content=f"{last.content}\n\n{plain.content}")
        else:
            told.append(plain)
    return _instructed(told, tools) if tools else told


def chosen(reply: Completion) -> Completion:
    """The reply as a native one would be: content, or a call.

    A reply that was cut off is read as far as it goes; its finish reason stays `length`.
    Raises `ModelError` when the endpoint didn't keep to the schema.
    """
    if not reply.said or reply.refusal:
        return reply
    cut = reply.finish_reason == "length"
    try:
        choice: JsonValue = from_json(
            reply.said, allow_partial="trailing-strings" if cut else False
        )
    except ValueError as error:
        raise _unconstrained(str(error)) from error
    match choice:
        case {"action": str(name), "arguments": dict(arguments)}:
            call = ToolCall(name=name, arguments=json.dumps(arguments))
            return reply.model_copy(update={"content": None, "tool_calls": (call,)})
        case {"action": "answer", "answer": str(answer)}:
            return reply.model_copy(update={"content": answer})
    if cut:
        return reply.model_copy(update={"content": None})
    raise _unconstrained("neither an answer nor a call")


def _choice(action: str, field: str, schema: JsonObject) -> JsonObject:
    return {
        "type": "object",
        "properties": {"action": {"const": action}, field: schema},
        "required": ["action", field],
        "additionalProperties": False,
    }


def _hoisted(tool: ToolSpec, definitions: JsonObject) -> JsonObject:
    """The tool's parameters, their `$defs` moved to the root, where references look for them."""
    renamed = json.dumps(tool.parameters).replace('"#/$defs/', f'"#/$defs/{tool.name}.')
    parameters: JsonObject = json.loads(renamed)
    own = parameters.pop("$defs", {})
    assert isinstance(own, dict)
    definitions.update({f"{tool.name}.{name}": schema for name, schema in own.items()})
    return parameters


def _plain(message: ChatMessage) -> ChatMessage:
    match message:
        case ToolResult():
            return User(content=f"Result of {message.name}: {message.content}")
        case Assistant(content=content, tool_calls=calls) if calls:
            lines = [content] if content else []
            lines += [f'{{"action": "{it.name}", "arguments": {it.arguments}}}' for it in calls]
            return Assistant(content="\n".join(lines))
    return message


def _instructed(told: list[ChatMessage], tools: Sequence[ToolSpec]) -> list[ChatMessage]:
    lines = [
        f"- {tool.name}: {tool.description} To use it, reply {_example(tool)}" for tool in tools
    ]
    how = "\n".join([TOOLS, *lines, ANSWER])
    if told and isinstance(told[0], System):
        return [System(content=f"{told[0].content}\n\n{how}"), *told[1:]]
    return [System(content=how), *told]


def _example(tool: ToolSpec) -> str:
    """A call with each argument's description, or else its schema, in the argument's place."""
    properties = tool.parameters.get("properties")
    arguments = {
        name: it.get("description", it) if isinstance(it, dict) else it
        for name, it in (properties.items() if isinstance(properties, dict) else ())
    }
    return json.dumps({"action": tool.name, "arguments": arguments}, ensure_ascii=False)


def _unconstrained(fault: str) -> ModelError:
    return ModelError(
        f"the endpoint did not keep to the JSON schema ({fault}); "
        "use an endpoint that honours response_format, or tool_protocol: native",
        public="the model did not answer in the form it was asked for",
    )
