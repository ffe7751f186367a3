"""Replies in the chat completions format, read as they come: strictly where it matters only."""

from __future__ import annotations

import json
from typing import Annotated

import structlog
from pydantic import BaseModel, BeforeValidator, JsonValue, ValidationError

from services.agent.llm.chat import Completion, Text, ToolCall
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
