"""Grouped transactions: commits that wait together share one.

Each operation is a plain function of a connection. It locks its run's row first and raises
before it has written anything, so that in a group each run stands or falls alone. An operation
must bear being repeated: after a lost connection nobody knows whether the commit arrived.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog
from sqlalchemy.engine import Connection

from shared.concurrency.retry import retry
from shared.errors import HutchError, StoreUnavailable
from shared.store.database.engine import Database

T = TypeVar("T")
Operation = Callable[[Connection], T]

GROUP_SIZE = 128
"""Operations in one transaction: more gains little and holds the others' rows longer."""

RETRY_MOST_S = 2.0
"""Between two tries while the store is away."""

log = structlog.get_logger()


@dataclass
class _Waiting:
    key: str
    operation: Operation[Any]
    done: asyncio.Future[Any] = field(default_factory=lambda: asyncio.Future())


class Writer:
    """One writer per process. `write` returns when its operation is committed."""

    def __init__(self, database: Database, patience_s: float) -> None:
        self._database = database
        self._patience_s = patience_s
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self.here = asyncio.Event()
        self.away = asyncio.Event()
        self._set_available(True)
        self._logged: set[str] = set()

    async def write(self, key: str, operation: Operation[T]) -> T:
        """Commit `operation`; `key` (a run's id) orders the rows that a group locks.

        Raises what the operation raised (`RunLost` and the like), `StoreUnavailable` when the
        store stays away longer than the store's patience, `StoreError` when it refuses.
        """
        waiting = _Waiting(key, operation)
        self._waiting.append(waiting)
        self._wake.set()
        result: T = await waiting.done
        return result

    async def serve(self) -> None:
        """Commit what waits, group after group, until cancelled."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    size = min(GROUP_SIZE, len(self._waiting))
                    group = [self._waiting.popleft() for _ in range(size)]
                    # Two replicas that lock rows in one order can't lock each other out.
                    await self._commit(sorted(group, key=lambda waiting: waiting.key))
        finally:
            while self._waiting:
                self._waiting.popleft().done.cancel()

    async def _commit(self, group: list[_Waiting]) -> None:
        group = [waiting for waiting in group if not waiting.done.done()]
        if not group:
            return
        try:
            outcomes = await self._transaction(group)
        except asyncio.CancelledError:
            for waiting in group:
                waiting.done.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, its writer must hear it
            if len(group) > 1 and not isinstance(error, StoreUnavailable):
                for waiting in group:  # one of them spoilt it for all: each on its own
                    await self._commit([waiting])
                return
            outcomes = [error] * len(group)
        for waiting, outcome in zip(group, outcomes, strict=True):
            if waiting.done.done():
                continue
            if isinstance(outcome, Exception):
                waiting.done.set_exception(outcome)
            else:
                waiting.done.set_result(outcome)

    async def until_available(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat an attempt while the store is away, as long as its patience lasts."""
        result = await retry(
            attempt,
            StoreUnavailable,
            most_s=RETRY_MOST_S,
            report=self._record_absence,
            patience_s=self._patience_s,
        )
        self._set_available(True)
        self._logged.clear()
        return result

    def _set_available(self, available: bool) -> None:
        now, then = (self.here, self.away) if available else (self.away, self.here)
        now.set()
        then.clear()

    def _record_absence(self, error: Exception) -> None:
        """Tells each reason once: a lost connection may come back to a changed password."""
        self._set_available(False)
        if str(error) not in self._logged:
            self._logged.add(str(error))
            log.warning("store away", error=str(error))

    async def _transaction(self, group: list[_Waiting]) -> list[Any]:
        def perform(connection: Connection) -> list[Any]:
            return [_outcome(waiting.operation, connection) for waiting in group]

        return await self.until_available(lambda: self._database.run(perform, writes=True))


def _outcome(operation: Operation[Any], connection: Connection) -> Any:
    try:
        return operation(connection)
    except HutchError as error:  # raised before it wrote: the others of the group go on
        return error
