"""Completions and responses as server-sent events; a text comes word by word."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

Wire = dict[str, object]


def chunks(completion: Wire, *, with_usage: bool) -> Iterator[str]:
    """A chat completion as a stream; its usage comes last, if it was asked for."""
    choices = completion["choices"]
    assert isinstance(choices, list)
    (choice,) = choices
    named = {key: completion[key] for key in ("id", "created", "model")}
    named["object"] = "chat.completion.chunk"
    for delta in _deltas(choice["message"]):
        yield _event(named | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    last = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
    yield _event(named | {"choices": [last]})
    if with_usage:
        yield _event(named | {"choices": [], "usage": completion["usage"]})
    yield "data: [DONE]\n\n"


def _deltas(message: Wire) -> Iterator[Wire]:
    yield {"role": "assistant", "content": ""}
    for field in ("content", "refusal"):
        text = message.get(field)
        for word in words(text):
            yield {field: word}
    calls = message.get("tool_calls") or []
    assert isinstance(calls, list)
    for index, call in enumerate(calls):
        yield {"tool_calls": [{"index": index, **call}]}


def words(text: object) -> list[str]:
    """The text in pieces, each a word with the white space before it."""
    return re.findall(r"\s*\S+|\s+$", text) if isinstance(text, str) else []


def events(response: Wire) -> Iterator[str]:
    """A response as a stream of numbered events."""
    for number, (kind, fields) in enumerate(_numbered(response)):
        event = {"type": kind, "sequence_number": number, **fields}
        yield f"event: {kind}\n{_event(event)}"


def _numbered(response: Wire) -> Iterator[tuple[str, Wire]]:
    begun = response | {"status": "in_progress", "output": [], "usage": None}
    yield "response.created", {"response": begun}
    yield "response.in_progress", {"response": begun}
    output = response["output"]
    assert isinstance(output, list)
    for index, item in enumerate(output):
        at: Wire = {"output_index": index}
        opened: Wire = {"content": []} if "content" in item else {}
        yield "response.output_item.added", at | {"item": item | opened}
        for part in item.get("content", ()):
            yield from _part(part, at | {"item_id": item["id"], "content_index": 0})
        if item["type"] == "function_call":
            whole: Wire = at | {"item_id": item["id"]}
            given = item["arguments"]
            yield "response.function_call_arguments.delta", whole | {"delta": given}
            yield "response.function_call_arguments.done", whole | {"arguments": given}
        yield "response.output_item.done", at | {"item": item}
    yield f"response.{response['status']}", {"response": response}


def _part(part: Wire, at: Wire) -> Iterator[tuple[str, Wire]]:
    field = "text" if part["type"] == "output_text" else "refusal"
    kind = "response.output_text" if field == "text" else "response.refusal"
    yield "response.content_part.added", at | {"part": part | {field: ""}}
    for word in words(part[field]):
        yield f"{kind}.delta", at | {"delta": word, "logprobs": []}
    yield f"{kind}.done", at | {field: part[field], "logprobs": []}
    yield "response.content_part.done", at | {"part": part}


def _event(data: Wire) -> str:
    return f"data: {json.dumps(data)}\n\n"
