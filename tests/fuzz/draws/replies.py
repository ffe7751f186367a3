"""The replies of the model's endpoint: a pure function of the seed, the task and the turn."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fuzz.draws import values
from tests.fuzz.draws.values import DIGITS, Draw, weighted

MARKER = re.compile(r"(honest|other|wild) f\d+\.\w*")
"""The marker in a task's text; see `plan`."""
DEPTH = 100_000
LONG = 1_000_000
SLOW_S = (0.2, 3.0)
TOO_SLOW_S = 25.0
"""Longer than a run may take."""

CUT = "cut"
RESET = "reset"
"""A body that ends before its promised length; a connection that ends before any answer."""


@dataclass(frozen=True)
class Reply:
    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    after_s: float = 0.0
    end: str = ""


def reply(seed: int, request: Mapping[str, Any]) -> Reply:
    """Honest tasks are answered at once; what anything else gets is drawn."""
    texts = [str(it.get("content") or "") for it in request.get("messages", ())]
    asked = next(filter(None, map(MARKER.search, reversed(texts))), None)
    if asked and asked[1] != "wild":
        return Reply(completion(request, said=f"{asked[0]} is done"))
    about = asked[0] if asked else "\n".join(texts)[-1000:]
    draw = random.Random(f"{seed} {about} {len(texts)}".encode("utf-8", "replace"))
    return weighted(draw, KINDS)(draw, request, about)


def completion(request: Mapping[str, Any], **message: Any) -> bytes:
    """A correct reply; `said` is the answer, in the form that was asked for."""
    said = message.pop("said", None)
    if said is not None:
        by_schema = "response_format" in request
        answer = json.dumps({"action": "answer", "answer": said}) if by_schema else said
        message["content"] = answer
    return encoded(envelope(message))


def envelope(message: object) -> dict[str, Any]:
    return {
        "id": "fuzz",
        "object": "chat.completion",
        "created": 0,
        "model": "fuzz",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


def encoded(fields: object) -> bytes:
    return json.dumps(fields).replace(f'"{DIGITS}"', "9" * 5000).encode()


# Kinds of replies: each draws its own.

Kind = Callable[[Draw, Mapping[str, Any], str], Reply]


def answered(draw: Draw, request: Mapping[str, Any], about: str) -> Reply:
    said = draw.choice(("done", "x" * LONG, *values.TEXTS))
    return Reply(completion(request, role="assistant", said=said))


def called(draw: Draw, request: Mapping[str, Any], about: str) -> Reply:
    """Tools and workers, with arguments that fit more or less."""
    names = _offered(request)
    calls = [_call(draw, draw.choice(names), about) for _ in range(draw.choice((1, 1, 2, 4)))]
    if "response_format" in request:
        chosen = {"action": draw.choice(names), "arguments": _arguments(draw, about)}
        return Reply(completion(request, content=json.dumps(chosen)))
    return Reply(completion(request, role="assistant", content=None, tool_calls=calls))


def _offered(request: Mapping[str, Any]) -> list[str]:
    """The names that are offered, and one that is not."""
    tools = request.get("tools") or ()
    schema = json.dumps(request.get("response_format") or {})
    by_schema = set(re.findall(r'"const": "([\w-]+)"', schema)) - {"answer"}
    return [*(tool["function"]["name"] for tool in tools), *sorted(by_schema), "no-such-tool"]


def _call(draw: Draw, name: str, about: str) -> dict[str, Any]:
    broken: tuple[Any, ...] = (
        "",
        "{",
        "null",
        "[]",
        None,
        {"n": 1},
        5,
        "[" * DEPTH,
        '{"n": ' + "9" * 5000 + "}",
        '{"n": "' + "x" * LONG + '"}',
        '{"n": "\\ud800"}',
    )
    good = json.dumps(_arguments(draw, about)).replace(f'"{DIGITS}"', "9" * 5000)
    arguments = good if draw.random() < 0.8 else draw.choice(broken)
    ids = (f"call-{draw.randrange(1000)}", "same", "", None, "x" * 300, "\x00")
    return {
        "id": ids[0] if draw.random() < 0.8 else draw.choice(ids),
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _arguments(draw: Draw, about: str) -> dict[str, Any]:
    """For a tool or for a worker, who is asked for something as wild."""
    prompt = about if draw.random() < 0.7 else draw.choice(("honest f0.", *values.TEXTS))
    right: dict[str, Any] = draw.choice(({"n": draw.randrange(9)}, {"prompt": prompt}, {}))
    odd = draw.random() < 0.2
    return right | (
        {draw.choice(("n", "prompt", "context", "x")): values.anything(draw)} if odd else {}
    )


def miscounted(draw: Draw, request: Mapping[str, Any], about: str) -> Reply:
    """A good answer whose usage is not."""
    fields = envelope({"role": "assistant", "content": "done"})
    odd = (*values.NUMBERS, None, "3", True, [], {})
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    fields["usage"] = {name: draw.choice(odd) for name in names}
    if draw.random() < 0.2:
        fields["usage"] = draw.choice(odd)
    return Reply(encoded(fields))


def mistyped(draw: Draw, request: Mapping[str, Any], about: str) -> Reply:
    """A field of another type, or none."""
    message: dict[str, Any] = {"role": "assistant", "content": "done"}
    fields = envelope(message)
    choice = fields["choices"][0]
    for _ in range(draw.choice((1, 1, 2))):
        of: dict[str, Any] = draw.choice((fields, choice, message))
        name = draw.choice((*of, "refusal", "tool_calls", "error", "model", "finish_reason"))
        if draw.random() < 0.2:
            of.pop(name, None)
        else:
            of[name] = values.anything(draw)
    if draw.random() < 0.3:
        choice["finish_reason"] = draw.choice(("length", "error", "content_filter", "tool_calls"))
    return Reply(encoded(fields))


def garbled(draw: Draw, request: Mapping[str, Any], about: str) -> Reply:
    """200, and no completion."""
    good = completion(request, said="done")
    bodies: Sequence[bytes] = (
        b"",
        b"null",
        b"[]",
        b"{}",
        b"<html><body>busy</body></html>",
        b'{"error": {"message": "overloaded", "type": "server_error", "code": 500}}',
        b'{"error": "no"}',
        b'{"choices": []}',
        b'{"choices": [null]}',
        b"[" * DEPTH + b"]" * DEPTH,
        b'{"choices": ' + b"[" * DEPTH + b"]" * DEPTH + b"}",
        good[: draw.randrange(len(good))],
        good.decode().encode("utf-16"),
        values.binary(draw),
        b"data: " + good + b"\n\ndata: [DONE]\n\n",
    )
    types = ("application/json", "text/html", "application/json; charset=utf-7", "x", "")
    return Reply(draw.choice(bodies), headers={"Content-Type": draw.choice(types)})


def refused(draw: Draw, request: Mapping[str, Any], about: str) -> Reply:
    """An error, with a wait that may make no sense."""
    status = draw.choice((400, 401, 403, 404, 408, 409, 413, 422, 429, 429, 500, 502, 503, 529))
    body = draw.choice(
        (
            b'{"error": {"message": "no", "type": "t", "param": "max_tokens", "code": "c"}}',
            b'{"error": {"message": "spent", "code": "insufficient_quota"}}',
            b'{"error": {"message": {"a": [1]}, "type": 5, "param": [], "code": {"x": 1}}}',
            b'{"error": [1, 2]}',
            b"<html>no</html>",
            b"",
            b"\xff\xfe",
            b"[" * DEPTH,
        )
    )
    waits = ("0", "1", "-1", "nan", "inf", "1e400", "99999999999", "soon", "", "\xff",
             "Wed, 21 Oct 2099 07:28:00 GMT", "Mon, 99 Foo 0000 99:99:99")  # fmt: skip
    name = draw.choice(("retry-after", "retry-after-ms", "x-should-retry"))
    return Reply(body, status, {name: draw.choice(waits)} if draw.random() < 0.6 else {})


def broken_off(draw: Draw, request: Mapping[str, Any], about: str) -> Reply:
    return Reply(completion(request, said="done"), end=draw.choice((CUT, RESET)))


def odd_http(draw: Draw, request: Mapping[str, Any], about: str) -> Reply:
    """Good bodies under headers that lie, and answers that are none."""
    headers: dict[str, str] = draw.choice(
        (
            {"Content-Encoding": "gzip"},
            {"Content-Encoding": "br"},
            {"Content-Type": "application/json; charset=nonsense"},
            {"Location": "/v1/chat/completions"},
            {"X": "y" * 60_000},
        )
    )
    status = draw.choice((200, 200, 204, 301, 307, 999))
    return Reply(completion(request, said="done"), status, headers)


def late(draw: Draw, request: Mapping[str, Any], about: str) -> Reply:
    after_s = TOO_SLOW_S if draw.random() < 0.1 else draw.uniform(*SLOW_S)
    return Reply(completion(request, said="done"), after_s=after_s)


KINDS: Mapping[Kind, int] = {
    called: 40,
    answered: 12,
    miscounted: 8,
    mistyped: 10,
    garbled: 8,
    refused: 8,
    broken_off: 3,
    odd_http: 4,
    late: 7,
}
