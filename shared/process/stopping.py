"""The request that a process ends: as a drain, then perhaps as a stop."""

from __future__ import annotations

import asyncio

from shared.contract.messages import ShutdownMode


class Stopping:
    """The wish that this process ends: first `drain`, then perhaps `stop`, never back."""

    def __init__(self) -> None:
        self._asked = {"drain": asyncio.Event(), "stop": asyncio.Event()}

    @property
    def mode(self) -> ShutdownMode | None:
        if self._asked["stop"].is_set():
            return "stop"
        return "drain" if self._asked["drain"].is_set() else None

    def ask(self, mode: ShutdownMode) -> None:
        """Wakes whoever waits for this mode; `stop` wakes those who wait for `drain` too."""
        self._asked["drain"].set()
        if mode == "stop":
            self._asked["stop"].set()

    def signalled(self) -> None:
        """What SIGTERM and SIGINT do: the first asks for a drain, any later one for a stop."""
        self.ask("stop" if self.mode else "drain")

    async def wait(self, mode: ShutdownMode = "drain") -> None:
        await self._asked[mode].wait()
