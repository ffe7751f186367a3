"""Odd values: for a field of the contract, for a property, for a header. Each a pure draw."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

Draw = random.Random
Kind = TypeVar("Kind")

DIGITS = "@digits@"
"""Stands for a number of 5,000 digits, which Python doesn't write by itself."""
ID_LENGTH = 128

TEXTS: tuple[str, ...] = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "\ud800",
    "\udfff\ud800",
    "\ufeff",
    "\u202e\u0000\u2028",
    "é☃🦔",
    "\x1b[31m\r\n",
    "x" * (ID_LENGTH + 1),
    "x" * ID_LENGTH,
    "é" * 200,
    "../../etc/passwd",
    "'; DROP TABLE runs; --",
    "{}",
    "null",
    "NaN",
    "%s%n{0}",
    "all",
    "boss",
    "-",
)
NUMBERS: tuple[Any, ...] = (
    0,
    -1,
    1,
    -0.0,
    0.5,
    64,
    2**31,
    -(2**31) - 1,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    10**400,
    -(10**400),
    1e308,
    DIGITS,
)
TIMES: tuple[str, ...] = (
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59.999999-23:59",
    "1970-01-01T00:00:00Z",
    "2026-13-45T99:99:99Z",
    "2026-11-29",
    "2026-11-29T12:00:00",
    "2999-01-01T00:00:00Z",
    "-1",
    "1e400",
    "99999999999999999",
    "P1D",
)


def weighted(draw: Draw, kinds: Mapping[Kind, int]) -> Kind:
    """One of the kinds, each as often as its weight says."""
    return draw.choices(list(kinds), list(kinds.values()))[0]


def text(draw: Draw) -> str:
    return draw.choice(TEXTS)


def anything(draw: Draw, depth: int = 0) -> Any:
    """A value that JSON can hold, or one that it should not."""
    kinds: list[Callable[[], Any]] = [
        lambda: None,
        lambda: draw.choice((True, False)),
        lambda: draw.choice(NUMBERS),
        lambda: text(draw),
        lambda: draw.choice(TIMES),
    ]
    if depth < 3:
        kinds += [
            lambda: [anything(draw, depth + 1) for _ in range(draw.randrange(4))],
            lambda: {text(draw): anything(draw, depth + 1) for _ in range(draw.randrange(4))},
        ]
    return draw.choice(kinds)()


def binary(draw: Draw, most: int = 400) -> bytes:
    return draw.randbytes(draw.randrange(most))


def header(draw: Draw, depth: int = 0) -> Any:
    """A value that a header's table can hold."""
    kinds: list[Callable[[], Any]] = [
        lambda: None,
        lambda: draw.choice((True, False)),
        lambda: draw.choice((0, -1, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))),
        lambda: draw.choice(("", "\x00", "é☃", "x" * 3000, "2026-11-29T12:00:00Z", "dead.x")),
        lambda: binary(draw),
        lambda: Decimal(draw.choice(("0", "-1.5", "2147483647", "0.00001"))),
        lambda: datetime.fromtimestamp(draw.choice((0, 2**31, 2**35)), UTC),
    ]
    if depth < 4:
        kinds += [
            lambda: [header(draw, depth + 1) for _ in range(draw.randrange(4))],
            lambda: {f"k{n}": header(draw, depth + 1) for n in range(draw.randrange(4))},
        ]
    return draw.choice(kinds)()
