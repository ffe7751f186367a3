"""Limits of models that all processes share: calls at once, requests and tokens in a minute.

A *lease* allows one call. It counts as a request, and its tokens are counted, for the minute after
it was granted; it counts as a call until it is returned, or its owner is dead. A run that gets no
lease waits in a queue. All decisions are made under a lock on the model's name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import String, bindparam, delete, exists, select, update
from sqlalchemy.engine import Connection

from shared.settings.limits import ModelLimits
from shared.store.database.dialect import lock_name, upsert
from shared.store.database.prepared import Prepared
from shared.store.processes import rate_queue
from shared.store.processes.rate_queue import LeaseRequest
from shared.store.processes.rate_tables import rate_leases, rate_waits
from shared.store.processes.rate_usage import WINDOW_S, LimitUsage, usage
from shared.store.schema import instances, now_s

SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.1, 300.0
"""A run asks again after so long at the latest, in case that the estimate was wrong."""
LONGEST_HEAD_S = 5.0
"""The same for the runs that get the next leases that are returned."""
UNKNOWN_PACE = 600
"""Requests per minute after a cool-down, where there is no limit for them: not all at once."""
MOST_WOKEN = 100


@dataclass(frozen=True)
class LeaseReply:
    wait_s: float | None = None
    """The seconds until the run should ask again; None: the lease is granted."""
    reason: str = ""
    """The limit that the run waits for."""


@dataclass(frozen=True)
class LeaseReplies:
    answers: Sequence[LeaseReply]
    """In the order of the asks."""
    holders: dict[str, int] = field(default_factory=dict)
    """Where a run waits for the end of a call: the heartbeat counts of the leases' owners."""


class _Began(NamedTuple):
    at: float
    requests: int
    tokens: int


@dataclass(frozen=True)
class Limiter:
    """A model with its limits. `model` is the pattern in the settings, so the limits' name."""

    model: str
    limits: ModelLimits

    @property
    def returns_matter(self) -> bool:
        """Whether the return of a lease can let another run go; requests count for their minute."""
        most = self.limits
        return most.concurrent_calls is not None or most.tokens_per_minute is not None

    def ask(
        self,
        connection: Connection,
        agent: str,
        instance: str,
        asks: Sequence[LeaseRequest],
        dead: Collection[str] = (),
    ) -> LeaseReplies:
        """Grant leases to runs of one agent, or tell them when to ask again.

        Also wakes other runs whose turn it is: without `asks` it does only that. The leases of the
        instances `dead` are returned. A repetition grants the same leases once.
        """
        lock_name(connection, f"rate limit {self.model}")
        if dead:
            owned = rate_leases.c.owner.in_(dead), rate_leases.c.returned_at.is_(None)
            connection.execute(update(rate_leases).where(*owned).values(returned_at=now_s()))
        used = usage(connection, self.model, agent)
        if used.waiting == 0 and all(
            self._fits(used, n, sum(it.tokens for it in asks[:n])) for n in range(1, len(asks) + 1)
        ):
            ranks = {it.run_id: used.rank + n for n, it in enumerate(asks)}
            self._grant(connection, agent, instance, used.now, asks, ranks)
            return LeaseReplies([LeaseReply()] * len(asks))
        if self._granted_before(connection, asks):
            used = usage(connection, self.model, agent)
        return self._serve(connection, agent, instance, asks, used)

    def _granted_before(self, connection: Connection, asks: Sequence[LeaseRequest]) -> bool:
        """Delete leases of a commit whose outcome was unknown; returns whether there were any."""
        ids = [it.lease_id for it in asks]
        repeated = delete(rate_leases).where(rate_leases.c.lease_id.in_(ids))
        return connection.execute(repeated).rowcount > 0

    def _fits(self, used: LimitUsage, position: int, tokens: int) -> bool:
        """Whether a run can be served, at this position in the queue, with the tokens up to it."""
        most = self.limits
        return (
            used.cooled_until <= used.now
            and _within(used.calls + position, most.concurrent_calls)
            and _within(used.requests + position, most.requests_per_minute)
            and _within(used.tokens + tokens, most.tokens_per_minute)
        )

    def _grant(
        self,
        connection: Connection,
        agent: str,
        instance: str,
        now: float,
        asks: Iterable[LeaseRequest],
        ranks: dict[str, int],
    ) -> None:
        leases = [
            {
                "lease_id": it.lease_id,
                "model": self.model,
                "agent": agent,
                "owner": instance,
                "granted_at": now,
                "requests": 1,
                "tokens": it.tokens,
                "rank": ranks[it.run_id],
            }
            for it in asks
        ]
        if leases:  # a commit whose outcome was unknown may have inserted them
            statement = upsert(connection, rate_leases).on_conflict_do_nothing()
            connection.execute(statement, leases)

    def _serve(
        self,
        connection: Connection,
        agent: str,
        instance: str,
        asks: Sequence[LeaseRequest],
        used: LimitUsage,
    ) -> LeaseReplies:
        model, now, asking = self.model, used.now, {it.run_id for it in asks}
        rate_queue.join(connection, model, agent, asks, used.rank, now)
        found = rate_queue.read(connection, model, agent, self._free(used), asking, now)
        fit = {it.run_id for it in found if self._fits(used, it.position, it.total)}
        granted = [it for it in asks if it.run_id in fit]
        ranks = {it.run_id: it.rank for it in found}
        self._grant(connection, agent, instance, now, granted, ranks)
        rate_queue.leave(connection, model, fit & asking)
        others = [it.run_id for it in found if it.run_id in fit - asking and it.until > now]
        rate_queue.wake(connection, model, others, now)
        refused = [it for it in found if it.run_id in asking - fit]
        if not refused:
            return LeaseReplies([LeaseReply()] * len(asks))
        answers, began = dict.fromkeys(fit, LeaseReply()), self._window(connection, now)
        for it in refused:
            answer = answers[it.run_id] = self._wait(used, began, it.position, it.total)
            until = now + (answer.wait_s or 0.0)
            rate_queue.expect(connection, model, it.run_id, until, answer.reason)
        return LeaseReplies([answers[it.run_id] for it in asks], self._holders(connection))

    def _free(self, used: LimitUsage) -> int:
        """How many runs could be served now, tokens aside; at most `MOST_WOKEN`."""
        most = self.limits
        if used.cooled_until > used.now:
            return 0
        free = [MOST_WOKEN]
        if most.concurrent_calls is not None:
            free.append(most.concurrent_calls - used.calls)
        if most.requests_per_minute is not None:
            free.append(most.requests_per_minute - used.requests)
        return max(0, min(free))

    def _window(self, connection: Connection, now: float) -> list[_Began]:
        """The calls that began in the last minute, the first to leave it first."""
        its = rate_leases.c
        query = select(its.granted_at, its.requests, its.tokens).order_by(its.granted_at)
        recent = its.model == self.model, its.granted_at > now - WINDOW_S
        return [_Began(*row) for row in connection.execute(query.where(*recent))]

    def _wait(
        self, used: LimitUsage, began: list[_Began], position: int, tokens: int
    ) -> LeaseReply:
        """When a run that can't be served should ask again: the longest wait of all limits."""
        most, now, waits = self.limits, used.now, [(0.0, "")]
        if (limit := most.requests_per_minute) is not None:
            excess = used.requests + position - limit
            wait_s = _left_s(((it.at, it.requests) for it in began), excess, limit, now)
            waits.append((wait_s, f"{limit} requests per minute"))
        if (limit := most.tokens_per_minute) is not None:
            excess = used.tokens + tokens - limit
            wait_s = _left_s(((it.at, it.tokens) for it in began), excess, limit, now)
            waits.append((wait_s, f"{limit} tokens per minute"))
        limit = most.concurrent_calls
        if limit is not None and used.calls + position > limit:
            wait_s = used.call_s * position / limit
            if position <= limit:  # one of them sees whether a holder is dead
                wait_s = min(wait_s, LONGEST_HEAD_S)
            waits.append((wait_s, f"{limit} concurrent calls"))
        if used.cooled_until > now:
            pace_s = WINDOW_S / (most.requests_per_minute or UNKNOWN_PACE)
            wait_s = used.cooled_until - now + (position - 1) * pace_s
            waits.append((wait_s, "its endpoint asks to wait"))
        wait_s, reason = max(waits)
        return LeaseReply(min(max(wait_s, SHORTEST_WAIT_S), LONGEST_WAIT_S), reason)

    def _holders(self, connection: Connection) -> dict[str, int]:
        if self.limits.concurrent_calls is None:
            return {}
        query = (
            select(instances.c.instance, instances.c.beat)
            .join_from(rate_leases, instances, rate_leases.c.owner == instances.c.instance)
            .where(rate_leases.c.model == self.model, rate_leases.c.returned_at.is_(None))
        )
        return {row.instance: row.beat for row in connection.execute(query)}


def _within(used: int, limit: int | None) -> bool:
    return limit is None or used <= limit


def _left_s(began: Iterable[tuple[float, int]], excess: int, limit: int, now: float) -> float:
    """Seconds until so much has left the window: `began` is what is in it, and since when."""
    if excess <= 0:
        return 0.0
    for at, number in began:
        excess -= number
        if excess <= 0:
            return at + WINDOW_S - now
    return WINDOW_S + excess / limit * WINDOW_S


_RETURN = Prepared(
    lambda _: (
        update(rate_leases)
        .where(rate_leases.c.lease_id == bindparam("returned", type_=String()))
        .values(returned_at=now_s())
        .returning(exists().where(rate_waits.c.model == rate_leases.c.model))
    ),
    ("requests", "tokens"),
)


def give_back(connection: Connection, lease_id: str, requests: int, tokens: int) -> bool:
    """Return a lease with what its call has really used; returns whether others wait for it."""
    given = {"returned": lease_id, "requests": requests, "tokens": tokens}
    rows = _RETURN.rows(connection, given)
    return bool(rows and rows[0][0])
