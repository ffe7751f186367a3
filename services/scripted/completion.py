"""Chat completions in OpenAI's wire format, made from the script's lines."""

from __future__ import annotations

import hashlib
import json
import time

from services.scripted.conversation import Conversation, Request
from services.scripted.directives import Call
from services.scripted.script import Line

MODEL = "scripted"
CHARS_PER_TOKEN = 4
"""A common rule of thumb for English; usage is an estimate."""

Wire = dict[str, object]


def digest(request: Request) -> str:
    """A hash of the request, for the ids of its completion and calls."""
    return hashlib.sha256(request.model_dump_json().encode()).hexdigest()[:16]


def completion(request: Request, talk: Conversation, line: Line) -> Wire:
    key = digest(request)
    message = _message(talk, line, key)
    inputs = _tokens(request.model_dump_json(include={"messages", "tools"}))
    outputs = _tokens(json.dumps(message))
    limit = request.limit or outputs
    cut, outputs = outputs > limit, min(outputs, limit)
    if cut:
        message = _shortened(message, limit)
    return {
        "id": f"scripted-{key}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "length" if cut else _finish(talk, message),
                "logprobs": None,
            }
        ],
        "usage": {
            "prompt_tokens": inputs,
            "completion_tokens": outputs,
            "total_tokens": inputs + outputs,
        },
    }


def _message(talk: Conversation, line: Line, key: str) -> Wire:
    flags = talk.directives.flags
    message: Wire = {"role": "assistant", "content": None, "refusal": None}
    broken = "malformed" in flags
    if "refuse" in flags:
        return message | {"refusal": "The scripted model refuses, as a directive demands."}
    if "empty" in flags:
        return message | {"content": ""}
    if talk.by_schema:
        return message | {"content": _broken(_choice(line)) if broken else _choice(line)}
    if line.calls:
        calls = [_tool_call(call, f"call_{key}_{i}", broken) for i, call in enumerate(line.calls)]
        return message | {"tool_calls": calls}
    return message | {"content": line.text}


def _shortened(message: Wire, tokens: int) -> Wire:
    """The message with its text cut. Calls stay whole: those of a cut reply are never run."""
    text = message["content"]
    cut = text[: tokens * CHARS_PER_TOKEN] if isinstance(text, str) else text
    return message | {"content": cut}


def _choice(line: Line) -> str:
    """The call or answer that a turn of `tool_protocol: schema` chooses, as JSON."""
    if line.calls:
        call = line.calls[0]
        return json.dumps({"action": call.tool, "arguments": call.arguments})
    return json.dumps({"action": "answer", "answer": line.text})


def _tool_call(call: Call, call_id: str, broken: bool) -> Wire:
    arguments = json.dumps(call.arguments)
    if broken:
        arguments = _broken(arguments)
    function = {"name": call.tool, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def _broken(text: str) -> str:
    """JSON without its end, as in a reply that was cut off."""
    return text[:-1]


def _finish(talk: Conversation, message: Wire) -> str:
    if "length" in talk.directives.flags:
        return "length"
    return "tool_calls" if message.get("tool_calls") else "stop"


def _tokens(text: str) -> int:
    return max(1, len(text) // CHARS_PER_TOKEN)
