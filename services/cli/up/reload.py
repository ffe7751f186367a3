"""Restarts the agents whose files have changed while 'hutch up' runs.

The folder is polled once a second: that needs no dependency, and works on shared and mounted
folders, where a system reports no changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from services.cli import output
from services.cli.machine.fleet import Fleet
from services.cli.machine.supervisor import Show
from services.cli.up.sources import Look, digest, look
from shared.client.system.loading import loaded
from shared.definitions.loader import Folder, read_folder
from shared.definitions.model import RESERVED, Definition
from shared.definitions.schedules.schedule import Schedule
from shared.errors import HutchError, SettingsError

POLL_S = 1.0

ModelFault = Callable[[Definition], str]
"""Why this agent has no model; empty if it has one."""


class Reload:
    """What the running agents were started from. A file with a fault changes no running agent."""

    def __init__(
        self,
        folder: Folder,
        chosen: Collection[str],
        fleet: Fleet,
        show: Show,
        model_fault: ModelFault,
    ) -> None:
        """`fleet` was started from `folder`. Without `chosen`, new files start agents too."""
        self._path = folder.path
        self._chosen = chosen
        self._fleet = fleet
        self._show = show
        self._model_fault = model_fault
        started = [name for name in folder.found if name in fleet.replicas]
        self._started = {name: digest(folder, name) for name in started}
        self._schedules = self._schedules_in(folder)
        self._faults = dict(folder.faults)
        self._faults |= {
            name: model_fault(it) for name, it in folder.found.items() if name not in started
        }

    async def serve(self) -> None:
        """Follow the folder until cancelled. A change counts when a second has brought no other."""
        seen: Look | None = None
        applied: Look | None = None
        while True:
            now = await asyncio.to_thread(look, self._path)
            if now == seen and now != applied:
                applied = now
                await self._apply()
            seen = now
            await asyncio.sleep(POLL_S)

    async def restart(self, agent: str) -> None:
        """Restart an agent, the scheduler or the gateway, from its files as they are now.

        Raises `HutchError` if they have a fault; the agent then goes on.
        """
        if agent not in RESERVED:
            folder = await asyncio.to_thread(read_folder, self._path)
            if fault := await self._fault(folder, agent):
                raise HutchError(f"{agent} is not restarted: {fault}")
            self._started[agent] = await asyncio.to_thread(digest, folder, agent)
        await self._fleet.restart(agent)

    async def _apply(self) -> None:
        try:
            folder = await asyncio.to_thread(read_folder, self._path)
        except SettingsError as error:
            output.say(f"all agents go on as before: {error}")
            return
        async with asyncio.TaskGroup() as jobs:
            for name in {*(self._chosen or folder.files), *self._started}:
                jobs.create_task(self._update(folder, name))
        schedules = self._schedules_in(folder)
        if schedules != self._schedules and not self._faults.keys() & self._started:
            self._schedules = schedules
            await self._fleet.schedule(list(self._started))

    async def _update(self, folder: Folder, name: str) -> None:
        running = name in self._started
        if name not in folder.files:
            if running:
                del self._started[name]
                self._show(name, "its file is gone: ending it")
                await self._fleet.scale(name, 0)
            return
        now = ""
        if name not in folder.faults:
            now = await asyncio.to_thread(digest, folder, name)
            if now == self._started.get(name):
                if self._faults.pop(name, None):
                    self._show(name, "its files have no fault any more: it goes on")
                return
        if fault := await self._fault(folder, name):
            if fault != self._faults.get(name):
                self._show(name, f"{'goes on as before' if running else 'not started'}: {fault}")
            self._faults[name] = fault
            return
        self._started[name] = now
        repaired = self._faults.pop(name, None)
        if running:
            self._show(name, "its files or its workers' have changed: restarting it")
            await self._fleet.restart(name)
        else:
            reason = "files have no fault any more" if repaired else "file is new"
            self._show(name, f"its {reason}: starting it")
            await self._fleet.scale(name, 1)

    async def _fault(self, folder: Folder, name: str) -> str:
        """The sentence with which the agent's process would refuse to start; empty if none."""
        found = await asyncio.to_thread(loaded, folder, name)
        fault = found if isinstance(found, str) else self._model_fault(found.definition)
        return fault.replace("\n", "; ")

    def _schedules_in(self, folder: Folder) -> dict[str, tuple[Schedule, ...]]:
        """The schedules of the running agents."""
        found = folder.found
        return {
            name: found[name].schedule
            for name in self._started
            if name in found and found[name].schedule
        }
