"""Notifications of a call's progress."""

from __future__ import annotations

import asyncio

from mcp.server.session import ServerSession

from services.gateway.tasks.happenings import Happening, RunChanged, StepDone

REPEAT_S = 10.0
"""Seconds between two notifications while nothing happens: many clients give a call up after 60 s
without one."""


class Progress:
    """The progress is the number of notifications: how much there is to do, no agent knows."""

    def __init__(self, session: ServerSession, agent: str) -> None:
        self._session = session
        self._number = 0
        self._message = f"{agent}: sent"

    async def report(self, happening: Happening) -> None:
        match happening:
            case RunChanged():
                await self._notify(f"{happening.agent}: {happening.status}")
            case StepDone(kind="model"):
                await self._notify(f"{happening.agent} has called its model")
            case StepDone():
                await self._notify(f"{happening.agent} has called {happening.name}")

    async def repeat(self) -> None:
        """Repeat the last message every `REPEAT_S`, until cancelled."""
        while True:
            await asyncio.sleep(REPEAT_S)
            await self._notify(self._message)

    async def _notify(self, message: str) -> None:
        self._message = message
        self._number += 1
        await self._session.report_progress(self._number, None, message)
