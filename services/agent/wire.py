"""The chat completions format: requests as endpoints want them, replies as they come."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from pydantic import BaseModel, Field, JsonValue, ValidationError

from services.agent.chat import (
    Assistant,
    ChatMessage,
    Completion,
    System,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
)
from services.agent.profiles import OUTPUT_LIMITS, Profile
from shared.arguments import faults
from shared.errors import ModelError
from shared.messages import Usage
from shared.tools import JsonObject


def offered(tools: Sequence[ToolSpec]) -> JsonObject:
    """The field that offers tools; none without tools: some endpoints refuse an empty list."""
    functions: list[JsonValue] = [
        {"type": "function", "function": tool.model_dump(mode="json", exclude={"repeatable"})}
        for tool in tools
    ]
    return {"tools": functions} if functions else {}


def limits(most_tokens: int | None, profile: Profile) -> Iterator[JsonObject]:
    """The field that limits a reply's length, then what to send where an endpoint refuses that.

    It may know the other name only; or it may refuse any number beyond what its model can say,
    and then the model's own limit is the lower one.
    """
    if most_tokens is not None:
        for name in sorted(OUTPUT_LIMITS, key=lambda name: name != profile.output_limit):
            yield {name: most_tokens}
    yield {}


def refused_limit(said: str) -> bool:
    """Whether an endpoint's refusal is about the limit, by the field that it names."""
    return any(name in said for name in OUTPUT_LIMITS)


def message(said: ChatMessage, profile: Profile) -> JsonObject:
    match said:
        case ToolResult():
            return {"role": "tool", "tool_call_id": said.call_id, "content": said.content}
        case Assistant(tool_calls=()):
            return {"role": "assistant", "content": said.content}
        case Assistant():
            content = said.content or (None if profile.null_content else "")
            calls: list[JsonValue] = [_call(call) for call in said.tool_calls]
            return {"role": "assistant", "content": content, "tool_calls": calls}
        case System():
            return {"role": "system", "content": said.content}
    return {"role": "user", "content": said.content}


def _call(call: ToolCall) -> JsonObject:
    function: JsonObject = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


class _Function(BaseModel):
    name: Text | None = None
    arguments: JsonValue = None


class _Call(BaseModel):
    id: Text | None = None
    function: _Function


class _Message(BaseModel):
    content: Text | None = None
    refusal: Text | None = None
    tool_calls: list[_Call] | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Reply(BaseModel):
    """What of a reply is read; endpoints leave out or null whatever they like."""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None
    model: Text | None = None


def completion(body: bytes) -> Completion:
    """Raises `ModelError` for a body that is no chat completion."""
    try:
        reply = _Reply.model_validate(json.loads(body))
    except ValidationError as error:
        raise _no_completion(faults(error)) from error
    except ValueError as error:
        raise _no_completion(f"no JSON: {error}") from error
    choice, usage = reply.choices[0], reply.usage or _Usage()
    return Completion(
        content=choice.message.content,
        tool_calls=tuple(_asked(call) for call in choice.message.tool_calls or ()),
        finish_reason=choice.finish_reason,
        refusal=choice.message.refusal,
        usage=Usage(
            model_calls=1,
            input_tokens=usage.prompt_tokens or 0,
            output_tokens=usage.completion_tokens or 0,
        ),
        model=reply.model,
    )


def _asked(call: _Call) -> ToolCall:
    """Some endpoints send the arguments as an object instead of its text."""
    said = call.function.arguments
    text = said if isinstance(said, str) else "" if said is None else json.dumps(said)
    return ToolCall(id=call.id or "", name=call.function.name or "", arguments=text)


def _no_completion(fault: str) -> ModelError:
    detail = f"the endpoint's reply is no chat completion: {fault}"
    return ModelError(detail, public="the model's endpoint did not answer as it should")
