"""The usage of a model's shared limits, and the runs that wait for them, read by one statement."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Select,
    String,
    and_,
    bindparam,
    cast,
    delete,
    func,
    or_,
    select,
)
from sqlalchemy.engine import Connection

from shared.store.database.prepared import Prepared
from shared.store.processes.rate_tables import rate_leases, rate_limits, rate_waits
from shared.store.schema import instances, now_s

WINDOW_S = 61.0
"""A minute, and a second in which a request can be late at its endpoint, which counts by itself."""
LONGEST_CALL_S = 600.0
"""A lease that was not returned after so long is given up: no call takes longer."""
TYPICAL_CALL_S = 5.0
"""Assumed while no known call has ended."""

_its = rate_leases.c
_is_held = _its.owner.in_(select(instances.c.instance))
"""The owner has not exited."""


@dataclass(frozen=True)
class LimitUsage:
    now: float
    cooled_until: float
    requests: int
    """The requests of the last minute; `tokens` are those of the same time."""
    tokens: int
    calls: int
    """The calls in progress."""
    call_s: float
    """How long calls take on average."""
    waiting: int
    front: int
    """The rank of the run that was served last."""
    own_lease: int
    """The highest rank of the asking agent's leases; `own_wait` is that of its runs that wait."""
    own_wait: int
    old: int
    """The number of leases that no longer count."""

    @property
    def rank(self) -> int:
        """The rank of the agent's next run."""
        return max(self.front, self.own_lease + 1, self.own_wait + 1)


def _over() -> ColumnElement[bool]:
    """The condition that a lease no longer counts."""
    ended = or_(_its.returned_at.is_not(None), ~_is_held)
    out_of_window = _its.granted_at <= now_s() - WINDOW_S
    return or_(and_(out_of_window, ended), _its.granted_at <= now_s() - LONGEST_CALL_S)


def _number(value: ColumnElement[Any]) -> ColumnElement[int]:
    return cast(func.coalesce(value, 0), BigInteger)


def _usage() -> Select[Any]:
    """The columns in the order of `LimitUsage`."""
    model, agent = (bindparam(name, type_=String()) for name in ("of_model", "of_agent"))
    recent = _its.granted_at > now_s() - WINDOW_S
    in_progress = and_(_its.returned_at.is_(None), _is_held, ~_over())
    cooled = select(rate_limits.c.cooled_until).where(rate_limits.c.model == model)
    waits = rate_waits.c.model == model
    last_wait = select(func.max(rate_waits.c.rank)).where(waits, rate_waits.c.agent == agent)
    return select(
        cast(now_s(), Float(53)),
        func.coalesce(cooled.scalar_subquery(), 0.0),
        _number(func.sum(_its.requests).filter(recent)),
        _number(func.sum(_its.tokens).filter(recent)),
        func.count().filter(in_progress),
        func.coalesce(func.avg(_its.returned_at - _its.granted_at), TYPICAL_CALL_S),
        select(func.count()).where(waits).scalar_subquery(),
        _number(func.max(_its.rank)),
        _number(func.max(_its.rank).filter(_its.agent == agent)),
        _number(last_wait.scalar_subquery()),
        func.count().filter(_over()),
    ).where(_its.model == model)


_USAGE = Prepared(lambda _: _usage())


def usage(connection: Connection, model: str, agent: str) -> LimitUsage:
    """The usage of a model's limits, as `agent` sees it; leases that count no more are deleted."""
    (row,) = _USAGE.rows(connection, {"of_model": model, "of_agent": agent})
    found = LimitUsage(*row[: len(fields(LimitUsage))])
    if found.old:
        connection.execute(delete(rate_leases).where(_its.model == model, _over()))
    return found
