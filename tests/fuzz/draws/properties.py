"""Properties and headers: what clients send, what brokers add, and what neither does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.fuzz.draws import values
from tests.fuzz.draws.values import Draw

LONG_HEADER = 120_000
"""With it, a message's headers just fit into one frame of 128 KiB; one larger does not."""
SOON_MS = ("0", "1", "200", "3000")
LATER_MS = "600000"
SHORT_TEXT = 255

NAMES = (
    "x-hutch-first-reason",
    "x-hutch-first-at",
    "x-hutch-reason",
    "x-hutch-at",
    "x-hutch-attempts",
    "x-hutch-run-id",
    "x-hutch-epoch",
    "x-hutch-queue",
    "x-hutch-message-id",
    "x-delivery-count",
    "x-death",
    "x-first-death-queue",
    "x-retry",
    "traceparent",
    "",
    "é☃",
    "k" * 127,
)
"""Never CC or BCC: the broker itself would copy the message to others."""

DEATHS: tuple[Any, ...] = (
    "rejected",
    [],
    ["rejected"],
    [{}],
    [{"reason": 5, "queue": None, "time": "never", "routing-keys": "boss", "count": -1}],
    [{"reason": "expired", "queue": "agent.boss", "routing-keys": [None], "count": 2**62}],
    [[["x"]]],
)
COUNTS: tuple[Any, ...] = (2**63 - 1, -(2**63), -1, 0, 9, 11, "9", None, True, 2**31)

CALLS: tuple[str, ...] = (
    "{}",
    "é☃ {}",
    "{} \u202e\u0007",
    "{} 🦔🦔🦔",
    "{}\n{{}}",
    "{} '; DROP TABLE runs; --",
)
"""Correlation ids: any text of at most 255 bytes may be one."""


def correlation(draw: Draw, marker: str) -> str | bytes:
    """Always with the marker in it, so that no two messages share one."""
    if draw.random() < 0.6:
        return marker
    if draw.random() < 0.1:
        return marker.encode() + b"\xff\xfe\x00"
    call = draw.choice(CALLS).format(marker)
    return call if draw.random() < 0.8 else f"{call:x<{SHORT_TEXT - 12}}"


def message_id(draw: Draw, marker: str) -> str | bytes | None:
    kinds: tuple[str | bytes | None, ...] = (
        None,
        marker,
        marker,
        f"{marker} é",
        "",
        "x" * SHORT_TEXT,
        b"\xff\xfe",
        f"{marker}\x00",
    )
    return draw.choice(kinds)


def others(draw: Draw) -> dict[str, Any]:
    """Properties that say nothing about who is answered where."""
    found: dict[str, Any] = {}
    for name, some in OTHERS.items():
        if draw.random() < 0.15:
            found[name] = draw.choice(some)
    if draw.random() < 0.4:
        found["headers"] = headers(draw)
    return found


OTHERS: Mapping[str, tuple[Any, ...]] = {
    "content_type": (
        "application/json",
        "text/plain",
        "text/plain; charset=utf-16",
        "application/octet-stream",
        "image/png",
        "é",
        b"\xff",
        "x" * SHORT_TEXT,
    ),
    "content_encoding": ("gzip", "é", b"\xff"),
    "delivery_mode": (1, 2, 0, 255),
    "priority": (0, 9, 255),
    "timestamp": (0, 1, 2**31, 2**63 - 1, 2**64 - 1),
    "type": ("task", "é", b"\xff"),
    "user_id": ("guest",),
    "app_id": ("hutch", b"\xff", "x" * SHORT_TEXT),
    "expiration": (*SOON_MS, LATER_MS),
}


def headers(draw: Draw) -> dict[str, Any]:
    found = {name: header(draw, name) for name in draw.sample(NAMES, draw.randrange(1, 5))}
    if draw.random() < 0.1:
        name = draw.choice(("x-hutch-first-reason", "x-hutch-reason", "large"))
        found = {name: draw.choice(("x", "é", "\x00")) * (LONG_HEADER // 2)}  # é has two bytes
    return found


def header(draw: Draw, name: str) -> Any:
    if name == "x-death" and draw.random() < 0.8:
        return draw.choice(DEATHS)
    if name in {"x-delivery-count", "x-hutch-attempts", "x-hutch-epoch"} and draw.random() < 0.8:
        return draw.choice(COUNTS)
    return values.header(draw)


def may_expire(properties: Mapping[str, Any]) -> bool:
    return properties.get("expiration") in SOON_MS
