"""The chat completions format: requests as endpoints want them, replies read as they come.

A reply is read strictly only where it matters.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import structlog
from pydantic import BaseModel, BeforeValidator, JsonValue, ValidationError

from services.agent.llm.chat import (
    Assistant,
    ChatMessage,
    Completion,
    System,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
)
from services.agent.llm.profiles import NO_REASONING, OUTPUT_LIMITS, Profile
from shared.contract.messages import Usage
from shared.definitions.arguments import faults
from shared.definitions.functions import JsonObject
from shared.errors import ModelError, ModelUnavailable

log = structlog.get_logger()

PASSING = frozenset({408, 409, 429})
"""Statuses below 500 that the same request can overcome later."""

MOST_TOKENS = 1_000_000_000
"""More than any model reads or writes in one reply."""

MOST_DIGITS = 4_000
"""Python refuses to read a longer number; here it is a text."""

MAX_NAME_CHARS = 200
MAX_SHOWN_CHARS = 300

PUBLIC = "the model's endpoint did not answer as it should"


def offered(tools: Sequence[ToolSpec]) -> JsonObject:
    """The field that offers tools; none without tools: some endpoints refuse an empty list."""
    functions: list[JsonValue] = [
        {"type": "function", "function": tool.model_dump(mode="json", exclude={"repeatable"})}
        for tool in tools
    ]
    return {"tools": functions} if functions else {}


def limited(most_tokens: int | None, profile: Profile) -> JsonObject:
    """The field that limits a reply's length, under the name that the endpoint should read."""
    return {} if most_tokens is None else {profile.output_limit: most_tokens}


def instead(fields: JsonObject, refusal: str, profile: Profile) -> JsonObject | None:
    """What to send where an endpoint refuses these fields and names one; None: nothing is known.

    A limit: it may know the other name only; or it refuses any number beyond what its model can
    say, and then the model's own limit is the lower one. Tools: OpenAI's gpt-5.4 to 5.6 take none
    with reasoning.
    """
    if "reasoning_effort" in refusal and "tools" in fields and "reasoning_effort" not in fields:
        return fields | NO_REASONING
    for name in OUTPUT_LIMITS:
        if name in fields and any(it in refusal for it in OUTPUT_LIMITS):
            rest = {key: value for key, value in fields.items() if key != name}
            (other,) = set(OUTPUT_LIMITS) - {name}
            return rest | {other: fields[name]} if name == profile.output_limit else rest
    return None


def message(said: ChatMessage, profile: Profile) -> JsonObject:
    match said:
        case ToolResult():
            return {"role": "tool", "tool_call_id": said.call_id, "content": said.content}
        case Assistant(tool_calls=()):
            return {"role": "assistant", "content": said.content}
        case Assistant():
            content = said.content or (None if profile.null_content else "")
            calls: list[JsonValue] = [_sent(call) for call in said.tool_calls]
            return {"role": "assistant", "content": content, "tool_calls": calls}
        case System():
            return {"role": "system", "content": said.content}
    return {"role": "user", "content": said.content}


def _sent(call: ToolCall) -> JsonObject:
    function: JsonObject = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _count(value: object) -> int:
    """A number of tokens; what is none counts as zero: a paid reply is not thrown away for it."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_TOKENS:
        shown = str(value)[:MAX_NAME_CHARS]
        log.warning("the endpoint reports no number of tokens: counted as 0", reported=shown)
        return 0
    return value


def _name(value: object) -> object:
    """A short text that nothing depends on, or none."""
    return value[:MAX_NAME_CHARS] if isinstance(value, str) else None


def _mapping(value: object) -> object:
    return value if isinstance(value, dict) else {}


_Name = Annotated[Text | None, BeforeValidator(_name)]
_Count = Annotated[int, BeforeValidator(_count)]


class _Function(BaseModel):
    name: Text | None = None
    arguments: JsonValue = None


class _Call(BaseModel):
    id: _Name = None
    function: _Function


class _Message(BaseModel):
    content: Text | None = None
    refusal: Text | None = None
    tool_calls: list[_Call] | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: Text | None = None


class _Usage(BaseModel):
    prompt_tokens: _Count = 0
    completion_tokens: _Count = 0


class _Reply(BaseModel):
    """What of a reply is read; endpoints leave out, null or misspell whatever they like."""

    choices: list[_Choice]
    usage: Annotated[_Usage, BeforeValidator(_mapping)] = _Usage()
    model: _Name = None


def completion(body: bytes) -> Completion:
    """Raises `ModelError` for a body that is no chat completion.

    A 200 is not yet an answer: what holds an error or no choice, or is empty or cut off, is a
    `ModelUnavailable`, which is tried again.
    """
    try:
        reply = _Reply.model_validate(_answer(body))
    except ValidationError as error:
        raise _no_completion(faults(error)) from error
    except RecursionError as error:
        raise _no_completion("it is nested too deep") from error
    # Some endpoints put what is said into one choice and what is called into another.
    said = next((it for it in reply.choices if it.message.content), reply.choices[0])
    deciding = next((it for it in reply.choices if it.message.tool_calls), said)
    calls = (call for choice in reply.choices for call in choice.message.tool_calls or ())
    return Completion(
        content=said.message.content,
        tool_calls=tuple(_asked(call) for call in calls),
        finish_reason=deciding.finish_reason,
        refusal=said.message.refusal,
        usage=Usage(
            model_calls=1,
            input_tokens=reply.usage.prompt_tokens,
            output_tokens=reply.usage.completion_tokens,
        ),
        model=reply.model,
    )


def _answer(body: bytes) -> JsonObject:
    """The object in a body, if it is an answer at all."""
    try:
        reply: JsonValue = json.loads(body, parse_int=_integer)
    except ValueError as error:
        if body.lstrip()[:1] in {b"", b"{"}:
            raise _no_answer(f"it is empty or cut off: {error}") from error
        raise _no_completion(f"no JSON: {error}") from error
    if not isinstance(reply, dict):
        raise _no_completion(f"it is a {type(reply).__name__}")
    choices = reply.get("choices")
    listed = choices if isinstance(choices, list) else []
    found = [reply, *(it for it in listed if isinstance(it, dict))]
    for it in found:
        if it.get("error"):
            raise _error_inside(it["error"])
    if not choices:
        raise _no_answer("it holds no choice")
    if any(it.get("finish_reason") == "error" for it in found):
        raise _no_answer("it ends with an error")
    return reply


def _error_inside(error: JsonValue) -> ModelError:
    """An error that came as a success is judged by the code in it, where there is one."""
    code = error.get("code") if isinstance(error, dict) else None
    detail = f"the endpoint's reply holds an error: {str(error)[:MAX_SHOWN_CHARS]}"
    if code == "insufficient_quota" or code == 402:
        return ModelError(detail, public="the model's quota is spent", reason="quota")
    if isinstance(code, int) and 400 <= code < 500 and code not in PASSING:
        return ModelError(
            detail, public="the model's endpoint refused the request", reason="refused"
        )
    if code == 429:
        return ModelUnavailable(detail, public="the model is overloaded", reason="rate_limited")
    return ModelUnavailable(detail, public="the model's endpoint failed", reason="unavailable")


def _asked(call: _Call) -> ToolCall:
    """Some endpoints send the arguments as an object instead of its text."""
    said = call.function.arguments
    text = said if isinstance(said, str) else "" if said is None else json.dumps(said)
    return ToolCall(id=call.id or "", name=call.function.name or "", arguments=text)


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) < MOST_DIGITS else digits


def _no_completion(fault: str) -> ModelError:
    return ModelError(f"the endpoint's reply is no chat completion: {fault}", public=PUBLIC)


def _no_answer(fault: str) -> ModelUnavailable:
    return ModelUnavailable(f"the endpoint's reply is no chat completion: {fault}", public=PUBLIC)
