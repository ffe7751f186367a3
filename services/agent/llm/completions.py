"""The chat completions format: requests and replies.

Endpoints differ in what they send; only the fields that decide something are read strictly.
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

RETRYABLE = frozenset({408, 409, 429})
"""Statuses below 500 after which the same request can succeed later."""

MOST_TOKENS = 1_000_000_000
"""More than any model reads or writes in one reply."""

MOST_DIGITS = 4_000
"""Python refuses to parse a longer integer: it is read as a string."""

MAX_NAME_CHARS = 200
MAX_SHOWN_CHARS = 300

PUBLIC = "the model's endpoint did not answer as it should"


def tools_field(tools: Sequence[ToolSpec]) -> JsonObject:
    """The field that offers tools. Some endpoints refuse an empty list, so it is left out then."""
    functions: list[JsonValue] = [
        {"type": "function", "function": tool.model_dump(mode="json", exclude={"repeatable"})}
        for tool in tools
    ]
    return {"tools": functions} if functions else {}


def limit_field(most_tokens: int | None, profile: Profile) -> JsonObject:
    """The field that limits a reply's length, under the name that the endpoint reads."""
    return {} if most_tokens is None else {profile.output_limit: most_tokens}


def fallback_fields(fields: JsonObject, refusal: str, profile: Profile) -> JsonObject | None:
    """Other fields to try after an endpoint has refused one of these by name; None if none help.

    A refused limit is sent under its other name, then left out: an endpoint that refuses both
    numbers has a lower limit of its own. OpenAI's gpt-5.4 to 5.6 accept tools only without
    reasoning.
    """
    if "reasoning_effort" in refusal and "tools" in fields and "reasoning_effort" not in fields:
        return fields | NO_REASONING
    for name in OUTPUT_LIMITS:
        if name in fields and any(it in refusal for it in OUTPUT_LIMITS):
            rest = {key: value for key, value in fields.items() if key != name}
            (other,) = set(OUTPUT_LIMITS) - {name}
            return rest | {other: fields[name]} if name == profile.output_limit else rest
    return None


def message_fields(message: ChatMessage, profile: Profile) -> JsonObject:
    match message:
        case ToolResult():
            return {"role": "tool", "tool_call_id": message.call_id, "content": message.content}
        case Assistant(tool_calls=()):
            return {"role": "assistant", "content": message.content}
        case Assistant():
            content = message.content or (None if profile.null_content else "")
            calls: list[JsonValue] = [_call_fields(call) for call in message.tool_calls]
            return {"role": "assistant", "content": content, "tool_calls": calls}
        case System():
            return {"role": "system", "content": message.content}
    return {"role": "user", "content": message.content}


def _call_fields(call: ToolCall) -> JsonObject:
    function: JsonObject = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _count(value: object) -> int:
    """A number of tokens. An invalid one counts as 0: a paid reply is not discarded for it."""
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
    """A text that no decision depends on, cut; anything else is None."""
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
    """The fields of a reply that are read; endpoints omit, null or misspell any other."""

    choices: list[_Choice]
    usage: Annotated[_Usage, BeforeValidator(_mapping)] = _Usage()
    model: _Name = None


def parse_reply(body: bytes) -> Completion:
    """The completion in the body of a successful response.

    Raises `ModelUnavailable`, which is retried, for a body that is empty, cut off, contains an
    error or no choice; `ModelError` for anything else that is no chat completion.
    """
    try:
        reply = _Reply.model_validate(_answer(body))
    except ValidationError as error:
        raise _no_completion(faults(error)) from error
    except RecursionError as error:
        raise _no_completion("it is nested too deep") from error
    # Some endpoints put the text into one choice and the calls into another.
    speaking = next((it for it in reply.choices if it.message.content), reply.choices[0])
    deciding = next((it for it in reply.choices if it.message.tool_calls), speaking)
    calls = (call for choice in reply.choices for call in choice.message.tool_calls or ())
    return Completion(
        content=speaking.message.content,
        tool_calls=tuple(_tool_call(call) for call in calls),
        finish_reason=deciding.finish_reason,
        refusal=speaking.message.refusal,
        usage=Usage(
            model_calls=1,
            input_tokens=reply.usage.prompt_tokens,
            output_tokens=reply.usage.completion_tokens,
        ),
        model=reply.model,
    )


def _answer(body: bytes) -> JsonObject:
    """The body as JSON, once it is known to contain choices and no error."""
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
    """An error in a successful response, classified by its code if it has one."""
    code = error.get("code") if isinstance(error, dict) else None
    detail = f"the endpoint's reply holds an error: {str(error)[:MAX_SHOWN_CHARS]}"
    if code == "insufficient_quota" or code == 402:
        return ModelError(detail, public="the model's quota is spent", reason="quota")
    if isinstance(code, int) and 400 <= code < 500 and code not in RETRYABLE:
        return ModelError(
            detail, public="the model's endpoint refused the request", reason="refused"
        )
    if code == 429:
        return ModelUnavailable(detail, public="the model is overloaded", reason="rate_limited")
    return ModelUnavailable(detail, public="the model's endpoint failed", reason="unavailable")


def _tool_call(call: _Call) -> ToolCall:
    """Some endpoints send the arguments as an object instead of as JSON text."""
    arguments = call.function.arguments
    if not isinstance(arguments, str):
        arguments = "" if arguments is None else json.dumps(arguments)
    return ToolCall(id=call.id or "", name=call.function.name or "", arguments=arguments)


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) < MOST_DIGITS else digits


def _no_completion(fault: str) -> ModelError:
    return ModelError(f"the endpoint's reply is no chat completion: {fault}", public=PUBLIC)


def _no_answer(fault: str) -> ModelUnavailable:
    return ModelUnavailable(f"the endpoint's reply is no chat completion: {fault}", public=PUBLIC)
