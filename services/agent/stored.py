"""The loop's journal over the store: the same contract as the in-memory one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from pydantic_core import from_json

from services.agent.journal import Kind, StepKey, check_step
from shared.messages import Usage
from shared.store import Store
from shared.store.journal import Step, write_step
from shared.store.runs import Run, lock

HOLD_S = 1.0
"""A fenced write this recent needs no second look: a take-over waits for 3 s of silence."""

NAME_CHARS = 200
"""What the store keeps of a step's name; a model can invent longer ones."""


class StoredJournal:
    """One run's steps, as the instance that owns it sees them."""

    def __init__(self, store: Store, run: Run, steps: Sequence[Step] = ()) -> None:
        self._store = store
        self._run = run
        self._steps = {StepKey(step.turn, step.position): step for step in steps}
        self._held_at = time.monotonic()

    def recorded(self, key: StepKey, kind: Kind, name: str) -> str | None:
        step = self._steps.get(key)
        if step is None:
            return None
        check_step(key, (step.kind, step.name), (kind, name[:NAME_CHARS]))
        return step.output

    async def record(self, key: StepKey, kind: Kind, name: str, output: str) -> None:
        step = Step(key.turn, key.index, kind, name[:NAME_CHARS], output)
        write = self._store.write(
            self._run.run_id, lambda connection: write_step(connection, self._run, step)
        )
        # What has finished is paid: its commit goes on when the run is handed over or cancelled.
        await asyncio.shield(asyncio.ensure_future(write))
        self._held_at = time.monotonic()
        self._steps[key] = step

    async def hold(self) -> None:
        if time.monotonic() - self._held_at < HOLD_S:
            return
        await self._store.write(self._run.run_id, lambda connection: lock(connection, self._run))
        self._held_at = time.monotonic()

    def usage(self) -> Usage:
        """What the finished steps have cost, for a run that ends before its loop could say."""
        spent = (from_json(step.output).get("usage") or {} for step in self._steps.values())
        return sum((Usage.model_validate(usage) for usage in spent), Usage())
