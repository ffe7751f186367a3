"""Bodies for the agents' queues: honest, wild, nearly right, and not right at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.fuzz.draws import values
from tests.fuzz.draws.values import DIGITS, Draw

BODY_BYTES = 1024 * 1024
DEPTH = 100_000
LARGE = 0.01
"""The share of bad bodies whose size is near the limit."""

FIELDS = (
    "schema",
    "id",
    "root_id",
    "parent_id",
    "path",
    "hops",
    "deadline",
    "budget",
    "session",
    "traceparent",
    "sender",
    "sent_at",
    "type",
    "content",
    "context",
    "schedule",
    "nominal_at",
    "mode",
    "task_id",
    "agent",
    "status",
    "usage",
    "model",
    "nobody's",
)
"""The fields of all types of the contract, and one that no type has."""

BOUNDED: Mapping[str, Callable[[Draw], Any]] = {
    "hops": lambda draw: draw.choice((0, 3, 4, 5, 10**6, 2**63, DIGITS)),
    "path": lambda draw: [draw.choice(("boss", "poet", "a")) for _ in range(draw.randrange(66))],
    "deadline": lambda draw: draw.choice(values.TIMES),
    "budget": lambda draw: {
        name: draw.choice((0, 1, 2, 1000, 2**31, 2**63, DIGITS, -1, None))
        for name in draw.sample(("model_calls", "tokens", "euros"), draw.randrange(1, 4))
    },
    "session": lambda draw: f"talk-{draw.randrange(5)}",
    "sender": lambda draw: draw.choice(("boss", "scheduler", "", "x" * 128, "x" * 129)),
    "type": lambda draw: draw.choice(
        ("task", "trigger", "response", "shutdown", "cancel", "event", "", 5)
    ),
    "usage": lambda draw: {"model_calls": draw.choice(values.NUMBERS), "input_tokens": -7991},
    "traceparent": lambda draw: draw.choice(("0" * 55, "0" * 54, "x" * 55)),
}
"""Values that are nearly right, where any other would hardly ever be."""


def encoded(fields: object) -> bytes:
    """JSON as any language writes it; lone surrogates are escaped."""
    return json.dumps(fields).replace(f'"{DIGITS}"', "9" * 5000).encode()


def task(content: str, task_id: str | None, **more: object) -> dict[str, object]:
    named = {} if task_id is None else {"id": task_id}
    return {"type": "task", "content": content} | named | more


def nearly(draw: Draw, right: dict[str, object]) -> bytes:
    """One or two fields are odd, or gone."""
    fields = dict(right)
    for name in draw.sample(FIELDS, draw.choice((1, 1, 2))):
        if draw.random() < 0.1:
            fields.pop(name, None)
        elif name in BOUNDED and draw.random() < 0.7:
            fields[name] = BOUNDED[name](draw)
        else:
            fields[name] = values.anything(draw)
    return encoded(fields)


def wrong(draw: Draw, right: dict[str, object]) -> bytes:
    """A body that is no message of the contract, or almost one."""
    if draw.random() < LARGE:
        return large(draw, right)
    good = encoded(right)
    cut = draw.randrange(len(good))
    kinds: tuple[Callable[[], bytes], ...] = (
        lambda: b"",
        lambda: b"\x00",
        lambda: values.binary(draw),
        lambda: good[:cut],
        lambda: good[:cut] + bytes([draw.randrange(256)]) + good[cut + 1 :],
        lambda: good + good,
        lambda: b"\xef\xbb\xbf" + good,
        lambda: json.dumps(right).encode("utf-16"),
        lambda: b"[" * DEPTH,
        lambda: b'{"content": ' + b"[" * DEPTH + b"]" * DEPTH + b"}",
        lambda: b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        lambda: good[:-1] + b', "content": "twice"}',
        lambda: good[:-1] + b', "hops": ' + b"9" * 4300 + b"}",
        lambda: good[:-1] + b', "context": "\\ud800"}',
        lambda: good[:-1] + b', "context": "\\u0000"}',
        lambda: good[:-1] + b', "hops": 1e400}',
        lambda: encoded(values.anything(draw)),
        lambda: draw.choice((b"null", b"[]", b"{}", b'""', b"-0", b"NaN", b"Infinity", b"true")),
    )
    return draw.choice(kinds)()


def large(draw: Draw, right: dict[str, object]) -> bytes:
    """Around the limit: just within it, at it, beyond it."""
    size = BODY_BYTES + draw.choice((-200, 0, 1, 2 * BODY_BYTES))
    empty = encoded(right | {"context": ""})
    return encoded(right | {"context": "x" * (size - len(empty))})
