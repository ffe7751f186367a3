"""Bounds on what a server sends: a server can be wrong, broken or hostile."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable

from shared.contract.rows import storable

MOST_MESSAGE_BYTES = 8 * 1024 * 1024
"""The longest message. Reading one takes the event loop a fifth of a second on a slow machine."""
MOST_BURST_BYTES = 32 * 1024 * 1024
MOST_BYTES_PER_S = 1024 * 1024
"""The rate at which a server may send what goes beyond `MOST_BURST_BYTES`."""

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
"""Control characters except tab and line feed, and characters that people don't see but models
read."""


def clean(text: str) -> str:
    """The text without control characters and invisible ones."""
    return _HIDDEN.sub("", storable(text.replace("\r\n", "\n")))


def one_line(text: str, most: int) -> str:
    """The text as one clean line of at most `most` characters."""
    line = " ".join(clean(text[: 4 * most]).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


class McpLink:
    """The state of one connection to a server, from its start until it is broken."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.broken = asyncio.Event()
        self.reason = ""
        """Why it is broken; it continues a sentence about the server."""
        self.detail: Callable[[], str] = str
        """Further details, such as the last lines that a process has written."""
        self.heard_at = clock()
        """When the last message came, by the monotonic clock."""
        self._clock = clock
        self._left = float(MOST_BURST_BYTES)

    def break_off(self, reason: str) -> None:
        """Give the connection up. The first reason is kept."""
        if not self.broken.is_set():
            self.reason = reason
            self.broken.set()

    def receive(self, size: int) -> bool:
        """Note that `size` bytes have come. False: they are more than a server may send, and the
        connection is broken."""
        now = self._clock()
        earned = (now - self.heard_at) * MOST_BYTES_PER_S
        self._left = min(MOST_BURST_BYTES, self._left + earned) - size
        self.heard_at = now
        if self._left < 0:
            self.break_off(f"sends more than {MOST_BYTES_PER_S >> 20} MiB a second")
        return self._left >= 0
