"""The work of each minute of the last hour, with its cost."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from pydantic import BaseModel, ConfigDict, Field

from shared.client.costs import cost_of_usage
from shared.concurrency.threads import in_thread
from shared.contract.messages import Usage
from shared.settings.environment import Settings
from shared.store import Store
from shared.store.queries.condition import known_agents
from shared.store.queries.minutes import MINUTE_S, MadeCalls, Minutes, current_minute, minutes

MINUTES = 60
FRESH_S = 5.0


class Minute(BaseModel):
    """The work that agents have finished in one minute."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    tasks: int = Field(description="runs that ended, those of workers included")
    failed: int = Field(description="those of them that failed or ran out of time")
    model_calls: int
    tokens: int = Field(description="input and output together")
    cost: float | None = Field(description="in USD; null if no price is known for a call")


@dataclass
class _Sums:
    tasks: int = 0
    failed: int = 0
    model_calls: int = 0
    tokens: int = 0
    cost: float | None = 0.0


@dataclass
class LastHour:
    """Reads the last hour once, and afterwards only what has been added."""

    store: Store
    settings: Settings
    _sums: dict[tuple[int, str], _Sums] = field(default_factory=dict)
    """By minute, counted from the epoch, and agent."""
    _last: int = 0
    _read_at: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def minutes(self, sees: Callable[[str], bool]) -> list[Minute]:
        """The last hour, oldest first; only what agents have done that `sees` accepts."""
        async with self._lock:
            if time.monotonic() - self._read_at >= FRESH_S:
                await self._read()
        seen: dict[int, list[_Sums]] = defaultdict(list)
        for (minute, agent), sums in self._sums.items():
            if sees(agent):
                seen[minute].append(sums)
        hour = range(self._last - MINUTES + 1, self._last + 1)
        return [_minute(minute, seen.get(minute, ())) for minute in hour]

    async def _read(self) -> None:
        """Read the hour, or the minutes since the last reading and one before: a commit that was
        open then may have added to it."""
        now = await self.store.read(current_minute)
        first = max(now - MINUTES + 1, self._last - 1)
        agents = await self.store.read(known_agents)
        found = await self.store.read(partial(minutes, agents=agents, first=first))
        added = await in_thread(_sums, found, self.settings)
        kept = {key: sums for key, sums in self._sums.items() if now - MINUTES < key[0] < first}
        self._sums, self._last, self._read_at = kept | added, now, time.monotonic()


def _sums(found: Minutes, settings: Settings) -> dict[tuple[int, str], _Sums]:
    sums: dict[tuple[int, str], _Sums] = defaultdict(_Sums)
    for ended in found.runs:
        of_agent = sums[ended.minute, ended.agent]
        of_agent.tasks += ended.ended
        of_agent.failed += ended.failed
    for made in found.calls:
        of_agent = sums[made.minute, made.agent]
        of_agent.model_calls += made.usage.model_calls
        of_agent.tokens += made.usage.tokens
        of_agent.cost = _sum(of_agent.cost, _cost(made, settings))
    return dict(sums)


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _minute(minute: int, found: Iterable[_Sums]) -> Minute:
    all_of = list(found)
    cost: float | None = 0.0
    for it in all_of:
        cost = _sum(cost, it.cost)
    return Minute(
        at=datetime.fromtimestamp(minute * MINUTE_S, UTC),
        tasks=sum(it.tasks for it in all_of),
        failed=sum(it.failed for it in all_of),
        model_calls=sum(it.model_calls for it in all_of),
        tokens=sum(it.tokens for it in all_of),
        cost=None if cost is None else round(cost, 9),
    )


def _cost(made: MadeCalls, settings: Settings) -> float | None:
    """The cost of these calls, those without a recorded one by the price of their average: prices
    can depend on the length of a call."""
    recorded, calls = made.usage.cost or 0.0, made.usage.model_calls
    rest = calls - made.costed
    if rest <= 0 or not made.usage.tokens:
        return recorded
    average = Usage(
        model_calls=1,
        input_tokens=made.usage.input_tokens // calls,
        cached_tokens=made.usage.cached_tokens // calls,
        output_tokens=made.usage.output_tokens // calls,
    )
    at = datetime.fromtimestamp(made.minute * MINUTE_S, UTC)
    cost = cost_of_usage(average, made.model, made.definition, at, settings)
    return None if cost.unpriced else recorded + cost.usd * rest
