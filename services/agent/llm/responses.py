"""The wire of the Responses API: requests, replies, and the events of streamed replies.

Nothing is stored at the provider: a reply's items, its encrypted reasoning among them, are kept in
the journal and sent back, so that any process can continue the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
)
from services.agent.llm.errors import invalid_reply, judged, no_reply
from services.agent.llm.history import fitted
from services.agent.llm.replies import (
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
    without_reasoning,
)
from shared.definitions.functions import JsonObject
from shared.definitions.model import ModelChoice
from shared.definitions.models.profiles import Profile
from shared.definitions.tools.arguments import faults

_UNFINISHED = ("queued", "in_progress", "cancelled", "failed")
_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})


def body(request: Request, origin: str, profile: Profile, choice: ModelChoice) -> JsonObject:
    """The request as an endpoint of this profile takes it; `model` is still to be added."""
    history = fitted(request.history, profile)
    system = [it.content for it in history if isinstance(it, System)]
    fields: JsonObject = {"input": _items(history, origin), "store": False}
    if system:
        fields["instructions"] = "\n\n".join(system)
    if profile.encrypted_reasoning:
        fields["include"] = ["reasoning.encrypted_content"]
    if profile.stream_false:
        fields["stream"] = False
    if request.tools:
        fields["tools"] = [
            tool.model_dump(mode="json", exclude={"repeatable"})
            | {"type": "function", "strict": False}
            for tool in request.tools
        ]
        if not request.call_tools:
            fields["tool_choice"] = "none"
    if profile.output_limit and request.most_tokens is not None:
        fields["max_output_tokens"] = request.most_tokens
    if choice.reasoning and profile.effort:
        fields["reasoning"] = {"effort": choice.reasoning}
    if choice.temperature is not None and profile.temperature:
        fields["temperature"] = choice.temperature
    if request.answer_schema is not None:
        strict = profile.schemas.strict and request.strict_answer
        named: JsonObject = {"type": "json_schema", "name": "answer", "strict": strict}
        fields["text"] = {"format": {**named, "schema": request.answer_schema}}
    return fields


def streamed(fields: JsonObject, profile: Profile) -> JsonObject:
    """The same request for a reply that comes as a stream; its usage always comes with the end."""
    return fields | {"stream": True}


def _items(history: Sequence[ChatMessage], origin: str) -> list[JsonValue]:
    items: list[JsonValue] = []
    ids: dict[str, str] = {}
    """The ids that a kept reply gave to its calls, by ours: its reasoning may refer to them."""
    for message in history:
        match message:
            case ToolResult():
                call_id = ids.get(message.call_id, message.call_id)
                items.append(
                    {"type": "function_call_output", "call_id": call_id, "output": message.content}
                )
            case Assistant(kept=Kept(origin=known, items=kept)) if kept and known == origin:
                calls = iter(message.tool_calls)
                for item in kept:
                    if item.get("type") == "function_call":
                        call = next(calls)
                        ids[call.id] = str(item["call_id"])
                        item |= {"name": call.name, "arguments": call.arguments}
                    items.append(item)
            case Assistant():
                items += _spoken("assistant", message.content) if message.content else []
                items += [_call(call) for call in message.tool_calls]
            case System():  # is in the instructions
                pass
            case _:
                items += _spoken("user", message.content)
    return items


def _spoken(role: str, text: str) -> list[JsonValue]:
    return [{"type": "message", "role": role, "content": text}]


def _call(call: ToolCall) -> JsonObject:
    named: JsonObject = {"call_id": call.id, "name": call.name, "arguments": call.arguments}
    return {"type": "function_call", **named}


class _Item(BaseModel):
    type: Name = None
    content: JsonValue = None
    call_id: Name = None
    name: Text | None = None
    arguments: JsonValue = None


class _Reason(BaseModel):
    reason: Name = None


class _Usage(BaseModel):
    input_tokens: Count = 0
    output_tokens: Count = 0
    input_tokens_details: Annotated[InputDetails, OrEmpty] = InputDetails()
    output_tokens_details: Annotated[OutputDetails, OrEmpty] = OutputDetails()


class _Reply(BaseModel):
    """The fields of a reply that are read."""

    output: list[_Item]
    status: Name = None
    incomplete_details: Annotated[_Reason, OrEmpty] = _Reason()
    usage: Annotated[_Usage, OrEmpty] = _Usage()
    model: Name = None


def parsed(reply: JsonObject, origin: str) -> Completion:
    """The completion in a successful reply.

    Raises `ModelUnavailable`, which is retried, for one without an output or a failed one;
    `ModelError` for anything else that is no response.
    """
    status, output = reply.get("status"), reply.get("output")
    if status in _UNFINISHED or output is None:
        raise no_reply(f"it is {status}" if status in _UNFINISHED else "it holds no output")
    try:
        read = _Reply.model_validate(reply)
    except ValidationError as error:
        raise invalid_reply(faults(error)) from error
    calls = [it for it in read.output if it.type == "function_call"]
    said = [joined(it.content) for it in read.output if it.type == "message"]
    counted = read.usage
    return Completion(
        content=without_reasoning("\n\n".join(it for it in said if isinstance(it, str) and it)),
        tool_calls=tuple(
            ToolCall(
                id=it.call_id or "", name=it.name or "", arguments=arguments_text(it.arguments)
            )
            for it in calls
        ),
        finish_reason=_finish(read, calls),
        refusal="\n\n".join(_refusals(read.output)) or None,
        usage=usage(
            counted.input_tokens,
            counted.output_tokens,
            counted.input_tokens_details.cached_tokens,
            counted.output_tokens_details.reasoning_tokens,
        ),
        model=read.model,
        kept=_kept(output, calls, origin) if calls else None,
    )


def _finish(reply: _Reply, calls: Sequence[_Item]) -> str | None:
    if reply.status != "incomplete":
        return "tool_calls" if calls else "stop"
    reason = reply.incomplete_details.reason
    return "length" if reason == "max_output_tokens" else finish(reason)


def _refusals(output: Sequence[_Item]) -> Iterator[str]:
    for item in output:
        for part in item.content if isinstance(item.content, list) else ():
            if isinstance(part, dict) and isinstance(refusal := part.get("refusal"), str):
                yield refusal


def _kept(output: JsonValue, calls: Sequence[_Item], origin: str) -> Kept | None:
    """The reply's items, if their ids can stand for calls. Reasoning that isn't encrypted is only
    a reference to what the provider has not stored.
    """
    ids = [call.call_id for call in calls]
    if not isinstance(output, list) or not all(ids) or len(set(ids)) < len(ids):
        return None
    items = (it for it in output if isinstance(it, dict))
    sent = (it for it in items if it.get("type") != "reasoning" or it.get("encrypted_content"))
    return Kept(origin=origin, items=tuple(sent))


class Events:
    """The events of a streamed reply; the last one holds the reply as a whole."""

    def __init__(self) -> None:
        self._items: list[JsonValue] = []
        self._reply: JsonObject | None = None

    def add(self, event: JsonObject) -> str:
        """Take one event; returns the text that it adds to the answer."""
        kind = event.get("type")
        if kind == "error":
            raise judged(None, event, "the endpoint's stream holds an error")
        check_error(event)
        if kind == "response.output_item.done":
            self._items.append(event.get("item"))
        whole = event.get("response")
        if kind in _ENDS and isinstance(whole, dict):
            self._reply = whole
        delta = event.get("delta") if kind == "response.output_text.delta" else None
        return delta if isinstance(delta, str) else ""

    def reply(self) -> JsonObject:
        """The whole reply. Raises `ModelUnavailable` for a stream that ended before its end."""
        if self._reply is None:
            raise no_reply("its stream ended before its end")
        check_error(self._reply)
        return self._reply if self._reply.get("output") else self._reply | {"output": self._items}
