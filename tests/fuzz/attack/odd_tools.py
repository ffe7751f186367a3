"""Tools as users write them, and worse: what they raise and return must harm no run but their own.

Copied into the agents' folder; stands alone, as every tool's file does.
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Iterator


class Foreign(BaseException):
    """Like a panic of a library in another language."""


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("it can't be shown")


class Unnamed(Exception):
    def __str__(self) -> str:
        return None  # type: ignore[return-value]  # that is what is tried


class Stray:
    """A value that JSON cannot hold."""

    def __repr__(self) -> str:
        raise RuntimeError("it has no name")


def foreign(n: int = 0) -> str:
    """Raise what is no Exception."""
    raise Foreign(n)


def interrupt(n: int = 0) -> str:
    """Raise what Ctrl-C raises."""
    raise KeyboardInterrupt(n)


def leave(n: int = 0) -> str:
    """Leave the program."""
    sys.exit(n)


def unprintable(n: int = 0) -> str:
    """Raise an exception that cannot be shown."""
    raise Unprintable(n)


def unnamed(n: int = 0) -> str:
    """Raise what has no text."""
    raise Unnamed(n)


def stops(n: int = 0) -> str:
    """Raise what ends a generator."""
    raise StopIteration(n)


def lines(n: int = 3) -> Iterator[str]:
    """Yield slowly: longer than a process may be silent."""
    for number in range(min(abs(n), 5)):
        time.sleep(1)
        yield f"line {number}"


def slow(n: int = 2) -> str:
    """Take its time."""
    time.sleep(min(abs(n), 5))
    return "at last"


def huge(n: int = 20) -> list[str]:
    """Return millions of characters."""
    return ["x" * 1000] * 1000 * min(abs(n), 20)


def deep(n: int = 100_000) -> list[object]:
    """Return lists in lists in lists."""
    found: list[object] = []
    for _ in range(min(abs(n), 100_000)):
        found = [found]
    return found


def circle(n: int = 0) -> list[object]:
    """Return what holds itself."""
    found: list[object] = [n]
    found.append(found)
    return found


def stray(n: int = 0) -> object:
    """Return what JSON doesn't know."""
    return [Stray(), n, {Stray(): n}]


def halves(n: int = 0) -> str:
    """Return half a character, and nothing at all."""
    return "\ud800\x00" * (1 + abs(n) % 10)


def raw(n: int = 0) -> bytes:
    """Return bytes that are no text."""
    return b"\xff\xfe\x00" * (1 + abs(n) % 10)


def numbers(n: int = 0) -> list[object]:
    """Return numbers that JSON doesn't have, and one of 5,000 digits."""
    return [math.nan, math.inf, 10**5000, complex(n), n]


def several(n: int = 0) -> str:
    """Raise several things at once."""
    raise BaseExceptionGroup("both", [KeyboardInterrupt(n), Unprintable(n)])


def recurse(n: int = 0) -> str:
    """Never return."""
    return recurse(n + 1)


async def waits(n: int = 0) -> str:
    """Wait, and then raise what is no Exception."""
    await asyncio.sleep(min(abs(n), 3))
    raise Foreign(n)


async def cancels(n: int = 0) -> str:
    """Say that it was cancelled, which it was not."""
    raise asyncio.CancelledError(n)


def plain(n: int = 0, text: str = "", idempotency_key: str = "") -> str:
    """Do what a tool should."""
    return f"{n} {text[:100]} {len(idempotency_key)}"


def once(n: int = 0) -> str:
    """Must not be called twice."""
    time.sleep(0.05)
    return f"once {n}"
