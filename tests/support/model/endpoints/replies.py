"""A line in the form of a reply of either wire, and cut into the events of a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.support.model.endpoints.conversation import Body, Call, Line

USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 5,
    "total_tokens": 16,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


def completion(line: Line, model: str) -> Body:
    message: Body = {"role": "assistant", "content": line.text or None, "refusal": None}
    if line.calls:
        message["tool_calls"] = [
            {
                "id": f"call_of-{line.turn}.{index}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.text},
            }
            for index, call in enumerate(line.calls)
        ]
    finish = "tool_calls" if line.calls else "stop"
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    named = {"id": "cmpl-1", "object": "chat.completion", "created": 1, "model": model}
    return {**named, "choices": [choice], "usage": USAGE}


def chunks(reply: Body, *, with_usage: bool) -> Iterator[str]:
    """The same completion as a stream: texts and arguments in pieces."""
    named = {key: reply[key] for key in ("id", "created", "model")}
    named["object"] = "chat.completion.chunk"
    for choice in reply["choices"]:
        for delta in _deltas(choice["message"]):
            one = {"index": choice["index"], "delta": delta, "finish_reason": None}
            yield _event({**named, "choices": [one], "usage": None})
        last = {"index": choice["index"], "delta": {}, "finish_reason": choice["finish_reason"]}
        yield _event({**named, "choices": [last]})
    if with_usage:
        yield _event({**named, "choices": [], "usage": reply["usage"]})
    yield "data: [DONE]\n\n"


def _deltas(message: Body) -> Iterator[Body]:
    yield {"role": "assistant", "content": ""}
    content = message.get("content")
    if isinstance(content, list):
        yield {"content": content}
    elif content:
        yield from ({"content": piece} for piece in _halves(content))
    for name, value in message.items():
        if name in {"role", "content", "refusal", "tool_calls"}:
            continue
        pieces = _halves(value) if isinstance(value, str) else (value,)
        yield from ({name: piece} for piece in pieces)
    for index, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        yield {"tool_calls": [call | {"index": index, "function": function | {"arguments": ""}}]}
        arguments = function["arguments"]
        for piece in _halves(arguments) if isinstance(arguments, str) else (arguments,):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def response(line: Line, model: str, *, reasons: bool) -> Body:
    """A reply of the Responses API; its reasoning names the calls that it has led to."""
    output: list[Body] = []
    ids = [f"call_of-{line.turn}.{index}" for index in range(len(line.calls))]
    if reasons:
        secret = f"enc-{' '.join(ids)}"
        output.append(
            {
                "type": "reasoning",
                "id": f"rs_{line.turn}",
                "summary": [],
                "encrypted_content": secret,
            }
        )
    if line.text:
        part = {"type": "output_text", "text": line.text, "annotations": []}
        output.append(
            {
                "type": "message",
                "id": f"msg_{line.turn}",
                "role": "assistant",
                "status": "completed",
                "content": [part],
            }
        )
    output += [_function_call(call, id) for call, id in zip(line.calls, ids, strict=True)]
    usage = {
        "input_tokens": 11,
        "output_tokens": 5,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens_details": {"reasoning_tokens": 2},
    }
    named = {"id": "resp_1", "object": "response", "created_at": 1, "model": model}
    return {**named, "status": "completed", "error": None, "output": output, "usage": usage}


def _function_call(call: Call, call_id: str) -> Body:
    return {
        "type": "function_call",
        "id": f"fc_{call_id}",
        "call_id": call_id,
        "name": call.name,
        "arguments": call.text,
        "status": "completed",
    }


def events(reply: Body) -> Iterator[str]:
    """The same response as a stream of numbered events."""
    made: list[Body] = [{"type": "response.created", "response": {**reply, "output": []}}]
    for index, item in enumerate(reply["output"]):
        made.append({"type": "response.output_item.added", "output_index": index, "item": item})
        for part in item.get("content") or ():
            made += [
                {"type": "response.output_text.delta", "output_index": index, "delta": piece}
                for piece in _halves(part["text"])
            ]
        made.append({"type": "response.output_item.done", "output_index": index, "item": item})
    made.append({"type": "response.completed", "response": reply})
    for number, event in enumerate(made):
        yield f"event: {event['type']}\n{_event({**event, 'sequence_number': number})}"


def _event(data: Any) -> str:
    return f"data: {json.dumps(data)}\n\n"
