"""The wire of chat completions: requests, replies, and streamed replies put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, JsonValue, ValidationError

from services.agent.llm.chat import (
    Assistant,
    ChatMessage,
    Completion,
    Kept,
    Request,
    System,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
)
from services.agent.llm.errors import invalid_reply, no_reply
from services.agent.llm.history import fitted
from services.agent.llm.replies import (
    Content,
    Count,
    InputDetails,
    Name,
    OrEmpty,
    OutputDetails,
    arguments_text,
    check_error,
    finish,
    joined,
    usage,
)
from shared.definitions.functions import JsonObject
from shared.definitions.model import ModelChoice
from shared.definitions.models.profiles import Profile
from shared.definitions.tools.arguments import faults

_READ_MESSAGE = frozenset(
    {"role", "content", "refusal", "tool_calls", "function_call", "annotations", "audio"}
)
_READ_CALL = frozenset({"id", "type", "index", "function"})
MOST_PARTS = 1000
"""The most elements of a list in one event of a stream; all events of reasoning may have more."""
_NAMES = frozenset({"type", "index", "id", "format", "role", "name"})
"""Texts in a streamed list that name something: they are not continued by the next piece."""


def body(request: Request, origin: str, profile: Profile, choice: ModelChoice) -> JsonObject:
    """The request as an endpoint of this profile takes it; `model` is still to be added."""
    history = fitted(request.history, profile)
    messages: list[JsonValue] = [_message(it, origin, profile) for it in history]
    fields: JsonObject = {"messages": messages, **_tools(request, profile)}
    if profile.stream_false:
        fields["stream"] = False
    if profile.output_limit and request.most_tokens is not None:
        fields[profile.output_limit] = request.most_tokens
    effort: str | None = choice.reasoning if profile.effort else None
    if "tools" in fields:
        effort = profile.tools_effort or effort
    if effort:
        fields["reasoning_effort"] = effort
    if choice.temperature is not None and profile.temperature:
        fields["temperature"] = choice.temperature
    if request.answer_schema is not None:
        strict = profile.schemas.strict and request.strict_answer
        named: JsonObject = {"name": "answer", "strict": strict}
        schema: JsonObject = {**named, "schema": request.answer_schema}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    return fields


def streamed(fields: JsonObject, profile: Profile) -> JsonObject:
    """The same request for a reply that comes as a stream."""
    asked: JsonObject = {"stream_options": {"include_usage": True}} if profile.stream_usage else {}
    return fields | {"stream": True} | asked


def _tools(request: Request, profile: Profile) -> JsonObject:
    """The fields that offer tools. Some endpoints refuse an empty list, so it is left out then."""
    if not request.tools or not (request.call_tools or _lists_idle_tools(request, profile)):
        return {}
    choice: JsonObject = {}
    if not request.call_tools and profile.idle_tools == "choice_none":
        choice = {"tool_choice": "none"}
    return {"tools": [_tool(tool) for tool in request.tools], **choice}


def _lists_idle_tools(request: Request, profile: Profile) -> bool:
    called = any(isinstance(it, Assistant) and it.tool_calls for it in request.history)
    return called and profile.idle_tools != "omitted"


def _tool(tool: ToolSpec) -> JsonObject:
    return {
        "type": "function",
        "function": tool.model_dump(mode="json", exclude={"repeatable"}),
    }


def _message(message: ChatMessage, origin: str, profile: Profile) -> JsonObject:
    match message:
        case ToolResult():
            return {"role": "tool", "tool_call_id": message.call_id, "content": message.content}
        case Assistant(tool_calls=()):
            return {"role": "assistant", "content": message.content}
        case Assistant():
            content = message.content or (None if profile.null_content else "")
            kept = message.kept if message.kept and message.kept.origin == origin else None
            calls: list[JsonValue] = [
                _call(call)
                | _only(profile.kept_calls, kept.calls[index : index + 1] if kept else ())
                for index, call in enumerate(message.tool_calls)
            ]
            own = _only(profile.kept_message, (kept.message,) if kept else ())
            return {"role": "assistant", "content": content, "tool_calls": calls, **own}
        case System():
            return {"role": "system", "content": message.content}
    return {"role": "user", "content": message.content}


def _call(call: ToolCall) -> JsonObject:
    function: JsonObject = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _only(names: Sequence[str], kept: Sequence[JsonObject]) -> JsonObject:
    return {name: it[name] for it in kept for name in names if name in it}


class _Function(BaseModel):
    name: Text | None = None
    arguments: JsonValue = None


class _Call(BaseModel, extra="allow"):
    id: Name = None
    function: _Function

    @property
    def kept(self) -> JsonObject:
        return _unread(self.model_extra, _READ_CALL)


class _Message(BaseModel, extra="allow"):
    content: Content = None
    refusal: Text | None = None
    tool_calls: list[_Call] | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: Text | None = None


class _Usage(BaseModel):
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    prompt_tokens_details: Annotated[InputDetails, OrEmpty] = InputDetails()
    completion_tokens_details: Annotated[OutputDetails, OrEmpty] = OutputDetails()


class _Reply(BaseModel):
    """The fields of a reply that are read; endpoints omit, null or misspell any other."""

    choices: list[_Choice]
    usage: Annotated[_Usage, OrEmpty] = _Usage()
    model: Name = None


def parsed(reply: JsonObject, origin: str) -> Completion:
    """The completion in a successful reply.

    Raises `ModelUnavailable`, which is retried, for one without a choice; `ModelError` for
    anything else that is no chat completion.
    """
    choices = reply.get("choices")
    if not choices:
        raise no_reply("it holds no choice")
    for choice in choices if isinstance(choices, list) else []:
        if isinstance(choice, dict):
            check_error(choice)
    try:
        read = _Reply.model_validate(reply)
    except ValidationError as error:
        raise invalid_reply(faults(error)) from error
    # Some endpoints put the text into one choice and the calls into another.
    speaking = next((it for it in read.choices if it.message.content), read.choices[0])
    deciding = next((it for it in read.choices if it.message.tool_calls), speaking)
    calls = [call for choice in read.choices for call in choice.message.tool_calls or ()]
    counted = read.usage
    return Completion(
        content=speaking.message.content,
        tool_calls=tuple(_tool_call(call) for call in calls),
        finish_reason=finish(deciding.finish_reason),
        refusal=speaking.message.refusal,
        usage=usage(
            counted.prompt_tokens,
            counted.completion_tokens,
            counted.prompt_tokens_details.cached_tokens,
            counted.completion_tokens_details.reasoning_tokens,
        ),
        model=read.model,
        kept=_kept(deciding.message, calls, origin) if calls else None,
    )


def _tool_call(call: _Call) -> ToolCall:
    arguments = arguments_text(call.function.arguments)
    return ToolCall(id=call.id or "", name=call.function.name or "", arguments=arguments)


def _kept(message: _Message, calls: Sequence[_Call], origin: str) -> Kept | None:
    """The fields that the loop doesn't read. They matter only beside calls: nothing else of a run
    goes back to its endpoint.
    """
    own = _unread(message.model_extra, _READ_MESSAGE)
    of_calls = tuple(call.kept for call in calls)
    if not own and not any(of_calls):
        return None
    return Kept(origin=origin, message=own, calls=of_calls if any(of_calls) else ())


def _unread(extra: dict[str, JsonValue] | None, read: frozenset[str]) -> JsonObject:
    """The fields that say something; most endpoints send some that are null or empty."""
    return {name: it for name, it in (extra or {}).items() if it and name not in read}


class Chunks:
    """A streamed reply, put together piece by piece into the form of one that was not streamed."""

    def __init__(self) -> None:
        self._choices: dict[int, JsonObject] = {}
        self._rest: JsonObject = {}
        self._finished = False

    def add(self, chunk: JsonObject) -> str:
        """Take one chunk; returns the text that it adds to the answer."""
        check_error(chunk)
        choices = chunk.get("choices")
        self._rest |= {key: it for key, it in chunk.items() if it is not None and key != "choices"}
        text = ""
        for choice in choices if isinstance(choices, list) else []:
            if not isinstance(choice, dict):
                continue
            check_error(choice)
            index = choice.get("index")
            whole = self._choices.setdefault(index if isinstance(index, int) else 0, {})
            delta = choice.get("delta") or choice.get("message")
            if isinstance(delta, dict):
                said = joined(delta.get("content"))
                text += said if isinstance(said, str) else ""
                whole["message"] = _continued(whole.get("message", {}), delta | {"content": said})
            if reason := choice.get("finish_reason"):
                whole["finish_reason"] = reason
                self._finished = True
        return text

    def reply(self) -> JsonObject:
        """The whole reply. Raises `ModelUnavailable` for a stream that ended before its end."""
        if not self._finished:
            raise no_reply("its stream ended before its end")
        choices: list[JsonValue] = [{"message": {}} | it for it in self._choices.values()]
        return self._rest | {"choices": choices}


def _continued(whole: JsonValue, piece: JsonValue) -> JsonValue:
    """A value of a streamed message with its next piece: texts, lists and objects grow."""
    if isinstance(whole, str) and isinstance(piece, str):
        return whole + piece
    if isinstance(whole, dict) and isinstance(piece, dict):
        grown = dict(whole)
        for key, it in piece.items():
            old = grown.get(key)
            if old is None or it is None or key in _NAMES:
                grown[key] = old if it is None or it == "" else it
            else:
                grown[key] = _continued(old, it)
        return grown
    if isinstance(whole, list) and isinstance(piece, list):
        return _lists(whole, piece)
    return piece


def _lists(whole: list[JsonValue], piece: list[JsonValue]) -> list[JsonValue]:
    """An element continues the last one with its index, unless it has an id of its own; a part of a
    call without index and name continues the last call. Raises `ModelError` for too many elements
    at once: each is compared with all before."""
    if len(piece) > MOST_PARTS:
        raise invalid_reply(f"it has more than {MOST_PARTS:,} parts in a list")
    grown = list(whole)
    for it in piece:
        at = next((at for at in reversed(range(len(grown))) if _continues(it, grown[at])), None)
        if at is None:
            grown.append(it)
        else:
            grown[at] = _continued(grown[at], it)
    return grown


def _continues(piece: JsonValue, old: JsonValue) -> bool:
    if not isinstance(piece, dict) or not isinstance(old, dict):
        return False
    another = piece.get("id") and old.get("id") and piece["id"] != old["id"]
    if piece.get("index") is None:
        function = piece.get("function")
        return isinstance(function, dict) and not function.get("name") and not another
    return piece["index"] == old.get("index") and not another
