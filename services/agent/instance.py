"""One process of an agent: its names, and the objects that all its parts share."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from pydantic import ValidationError

from services.agent.loop.snapshot import Snapshot, restore_snapshot
from shared.broker.publisher import Publisher
from shared.contract.messages import Event
from shared.definitions.model import Definition
from shared.store import Store
from shared.store.runs.run import Run
from shared.telemetry.metrics import Metrics

log = structlog.get_logger()


@dataclass(eq=False)
class Instance:
    id: str
    snapshot: Snapshot
    """The one that claims store with their runs. Another one replaces it when the tools of an MCP
    server change, once it is in the store."""
    store: Store
    publisher: Publisher
    metrics: Metrics
    known: Collection[str] = ()
    """The names of all agents."""

    @property
    def definition(self) -> Definition:
        return self.snapshot.definition

    @property
    def agent(self) -> str:
        return self.snapshot.definition.name

    def call_digest(self, run: Run, name: str) -> str:
        """See `Snapshot.call_digest`. Raises `DamagedRow` if the run's definition can't be read."""
        return self.snapshot.call_digest(name, restore_snapshot(run.definition))

    def announce(self, name: str, run: Run | None = None, **detail: str | int | float) -> None:
        """Publish an event with counts and names, never a text.

        Returns at once and raises nothing; an event may be lost.
        """
        try:
            event = self._event(name, run, detail)
        except ValidationError as error:
            log.error("event not announced", name=name, exc_info=error)
        else:
            self.publisher.announce(event)

    def _event(self, name: str, run: Run | None, detail: dict[str, str | int | float]) -> Event:
        return Event(
            name=name,
            at=datetime.now(UTC),
            agent=self.agent,
            instance=self.id,
            run_id=run.run_id if run else None,
            task_id=run.task_id if run else None,
            root_id=run.root_id if run else None,
            parent_id=run.parent_id if run else None,
            detail=detail,
        )
