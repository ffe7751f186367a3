"""The request that a process ends, as a drain or as a stop."""

from __future__ import annotations

import asyncio

from shared.contract.messages import ShutdownMode


class Stopping:
    """The request that this process ends. A `drain` can become a `stop`, never the reverse."""

    def __init__(self) -> None:
        self._asked = {"drain": asyncio.Event(), "stop": asyncio.Event()}

    @property
    def mode(self) -> ShutdownMode | None:
        if self._asked["stop"].is_set():
            return "stop"
        return "drain" if self._asked["drain"].is_set() else None

    def ask(self, mode: ShutdownMode) -> None:
        """Request the end, and wake all that wait for this mode; a `stop` is also a `drain`."""
        self._asked["drain"].set()
        if mode == "stop":
            self._asked["stop"].set()

    def signalled(self) -> None:
        """Handle SIGTERM and SIGINT: the first requests a drain, any later one a stop."""
        self.ask("stop" if self.mode else "drain")

    async def wait(self, mode: ShutdownMode = "drain") -> None:
        await self._asked[mode].wait()
