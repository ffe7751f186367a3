"""Tools for models without native tool calls: a JSON schema constrains each reply to a choice.

The endpoint must honour `response_format: json_schema`. The model picks `answer` or one
tool; earlier calls and results are sent as plain text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import JsonValue
from pydantic_core import from_json

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
from shared.contract import prompts
from shared.definitions.functions import JsonObject
from shared.errors import ModelError

TEXT: JsonObject = {"type": "string", "minLength": 1}
TOOLS = "You have these tools:"
ANSWER = (
    "Once you have what you need, or if no tool can help, "
    'choose the action "answer" and write your answer.'
)


def choice_schema(
    history: Sequence[ChatMessage], tools: Sequence[ToolSpec], answer: JsonObject | None = None
) -> JsonObject | None:
    """The schema that constrains a reply; None if the model was never offered a choice.

    A model that has chosen before would go on writing choices into free text. So once its
    tools are taken away, the schema remains, with `answer` as the only choice. That choice holds
    text, or what the schema `answer` describes.
    """
    if not tools and not any(isinstance(it, Assistant) and it.tool_calls for it in history):
        return None
    definitions: JsonObject = {}
    calls = (
        _choice(tool.name, "arguments", _hoisted(tool.name, tool.parameters, definitions))
        for tool in tools
    )
    said = TEXT if answer is None else _hoisted("answer", answer, definitions)
    choices: list[JsonValue] = [_choice("answer", "answer", said), *calls]
    return {"anyOf": choices, **({"$defs": definitions} if definitions else {})}


def render_history(history: Sequence[ChatMessage], tools: Sequence[ToolSpec]) -> list[ChatMessage]:
    """The history without tool messages. Roles alternate, as many chat templates require."""
    rendered: list[ChatMessage] = []
    for message in history:
        plain = _plain(message)
        last = rendered[-1] if rendered else None
        if isinstance(plain, User) and isinstance(last, User):
            rendered[-1] = User(content=f"{last.content}\n\n{plain.content}")
        else:
            rendered.append(plain)
    if not tools:
        return rendered
    if history and isinstance(history[-1], ToolResult):
        rendered[-1] = User(content=f"{rendered[-1].content}{prompts.ANSWER_REMINDER}")
    return _with_instructions(rendered, tools)


def parse_choice(reply: Completion) -> Completion:
    """The reply in the native form: content or a call.

    A reply that was cut off is read as far as it goes; its finish reason stays `length`.
    Raises `ModelError` if the reply violates the schema.
    """
    if not reply.text or reply.refusal:
        return reply
    cut = reply.finish_reason == "length"
    try:
        choice: JsonValue = from_json(
            reply.text, allow_partial="trailing-strings" if cut else False
        )
    except ValueError as error:
        raise _unconstrained(str(error)) from error
    match choice:
        case {"action": str(name), "arguments": dict(arguments)}:
            call = ToolCall(name=name, arguments=json.dumps(arguments))
            return reply.model_copy(update={"content": None, "tool_calls": (call,)})
        case {"action": "answer", "answer": str(answer)}:
            return reply.model_copy(update={"content": answer})
        case {"action": "answer", "answer": answer}:
            return reply.model_copy(update={"content": json.dumps(answer, ensure_ascii=False)})
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


def _hoisted(action: str, schema: JsonObject, definitions: JsonObject) -> JsonObject:
    """The schema of an action, its `$defs` moved to the root, where references look for them."""
    renamed = json.dumps(schema).replace('"#/$defs/', f'"#/$defs/{action}.')
    hoisted: JsonObject = json.loads(renamed)
    own = hoisted.pop("$defs", {})
    assert isinstance(own, dict)
    definitions.update({f"{action}.{name}": part for name, part in own.items()})
    return hoisted


def _plain(message: ChatMessage) -> ChatMessage:
    """Calls become prose: a small model would copy an earlier choice word for word."""
    match message:
        case ToolResult():
            return User(content=prompts.result(message.name, message.content))
        case Assistant(content=content, tool_calls=calls) if calls:
            used = [prompts.call(call.name, call.arguments) for call in calls]
            return Assistant(content="\n".join([*([content] if content else []), *used]))
    return message


def _with_instructions(history: list[ChatMessage], tools: Sequence[ToolSpec]) -> list[ChatMessage]:
    how = "\n".join([TOOLS, *map(_explanation, tools), ANSWER])
    if history and isinstance(history[0], System):
        return [System(content=f"{history[0].content}\n\n{how}"), *history[1:]]
    return [System(content=how), *history]


def _explanation(tool: ToolSpec) -> str:
    """One tool in prose. The arguments' meanings are not in the example, as a small model would
    copy them from there.
    """
    properties = tool.parameters.get("properties")
    arguments = properties if isinstance(properties, dict) else {}
    meant = ", ".join(f"{name} ({_meaning(schema)})" for name, schema in arguments.items())
    example = json.dumps({"action": tool.name, "arguments": dict.fromkeys(arguments, "...")})
    with_them = f"Its arguments: {meant}. " if meant else ""
    return f"- {tool.name}: {tool.description} {with_them}To use it, reply {example}"


def _meaning(schema: JsonValue) -> str:
    described = schema.get("description") if isinstance(schema, dict) else None
    return described if isinstance(described, str) else json.dumps(schema, ensure_ascii=False)


def _unconstrained(fault: str) -> ModelError:
    return ModelError(
        f"the endpoint did not keep to the JSON schema ({fault}); "
        "use an endpoint that honours response_format, or tool_protocol: native",
        public="the model did not answer in the form it was asked for",
    )
