"""Grouped transactions: operations that wait at the same time share one transaction.

Each operation is a plain function of a connection. It locks its run's row first, and raises only
before it has written anything, so that each succeeds or fails independently of its group. An
operation must be idempotent: it is repeated when a lost connection has left its commit unknown.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from shared.concurrency.retry import retry
from shared.errors import StoreUnavailable
from shared.store.database.engine import Database, Operation

T = TypeVar("T")

GROUP_SIZE = 128
"""The most operations in one transaction: more gain little and keep rows locked for longer."""

RETRY_MOST_S = 2.0
"""The longest wait between two attempts while the store is unavailable."""

log = structlog.get_logger()


@dataclass
class _Waiting:
    key: str
    operation: Operation[Any]
    done: asyncio.Future[Any] = field(default_factory=lambda: asyncio.Future())


class Writer:
    """One writer per process. `write` returns when its operation is committed."""

    def __init__(self, database: Database, retry_for_s: float) -> None:
        self._database = database
        self._retry_for_s = retry_for_s
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self.reachable = asyncio.Event()
        self.unreachable = asyncio.Event()
        self._set_available(True)
        self._logged: set[str] = set()

    async def write(self, key: str, operation: Operation[T], within_s: float = 0.0) -> T:
        """Commit `operation`; `key` (a run's id) gives the order in which a group locks its rows.

        With `within_s` it is committed together with the next other operation, and after that time
        if there is none.

        Raises what the operation raised (such as `RunLost`), `StoreUnavailable` when the store
        could not be reached for `retry_for_s`, `StoreError` when it refuses.
        """
        waiting = _Waiting(key, operation)
        self._waiting.append(waiting)
        if within_s:
            asyncio.get_running_loop().call_later(within_s, self._wake.set)
        else:
            self._wake.set()
        result: T = await waiting.done
        return result

    async def serve(self) -> None:
        """Commit the waiting operations, group after group, until cancelled."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                size = min(GROUP_SIZE, len(self._waiting))
                group = [self._waiting.popleft() for _ in range(size)]
                if self._waiting:
                    self._wake.set()
                # Replicas that lock rows in the same order can't deadlock.
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
        except Exception as error:  # noqa: BLE001 - it is raised in the callers of `write`
            if len(group) > 1 and not isinstance(error, StoreUnavailable):
                for waiting in group:  # one of them failed for all: commit each on its own
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
        """Repeat an attempt while the store is unavailable, for at most `retry_for_s`."""
        result = await retry(
            attempt,
            StoreUnavailable,
            max_wait_s=RETRY_MOST_S,
            on_failure=self._log_unavailable,
            give_up_after_s=self._retry_for_s,
        )
        self._set_available(True)
        return result

    def _set_available(self, available: bool) -> None:
        now, then = (
            (self.reachable, self.unreachable) if available else (self.unreachable, self.reachable)
        )
        now.set()
        then.clear()

    def _log_unavailable(self, error: Exception) -> None:
        """Log each reason once. An outage can change its reason: first a lost connection, then a
        password that is refused."""
        self._set_available(False)
        if str(error) not in self._logged:
            self._logged.add(str(error))
            log.warning("store unavailable", error=str(error))

    async def _transaction(self, group: list[_Waiting]) -> list[Any]:
        operations = [waiting.operation for waiting in group]
        outcomes = await self.until_available(lambda: self._database.run_group(operations))
        if self._logged:  # not after a read: a locked store can be read
            self._logged.clear()
            log.info("store is back")
        return outcomes
