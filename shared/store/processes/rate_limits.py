"""Limits of models that all processes share: calls at once, requests and tokens in a minute.

A *lease* allows one call. It counts as a request, and its tokens are counted, for the minute after
it was granted; it counts as a call until it is returned, or its owner is dead. A run that gets no
lease waits in a queue, in which interactive work goes first and agents take turns: a new place is
behind the agent's own last one and the last one that was served, whatever the other agents wait
for. All decisions are made under a lock on the model's name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    String,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.engine import Connection, Row

from shared.contract.priority import BACKGROUND_WAIT_S, Priority
from shared.settings.limits import ModelLimits
from shared.store.database.dialect import lock_name, upsert
from shared.store.database.prepared import Prepared
from shared.store.processes.cooldowns import cooled_until
from shared.store.schema import (
    RunState,
    instances,
    now_s,
    rate_leases,
    rate_waits,
    runs,
)

WINDOW_S = 60.0
GRACE_S = 5.0
"""How long a run may be late when it is its turn. Then it, and its agent's other runs, are passed
over until it asks: the agent is paused, has no free slot, or has no process."""
LONGEST_CALL_S = 600.0
"""A lease that was not returned after so long is given up: no call takes longer."""
SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.1, 300.0
"""A run asks again after so long at the latest, in case that the estimate was wrong."""
TYPICAL_CALL_S = 5.0
"""Assumed while no call of the last minute has ended."""
UNKNOWN_PACE = 600
"""Requests per minute after a cool-down, where there is no limit for them: not all at once."""
MOST_WOKEN = 100


@dataclass(frozen=True)
class Ask:
    """A run that wants to call the model; `tokens` is an estimate for request and reply."""

    lease_id: str
    run_id: str
    priority: Priority
    tokens: int


@dataclass(frozen=True)
class Answer:
    wait_s: float | None = None
    """The seconds until the run should ask again; None: the lease is granted."""
    reason: str = ""
    """The limit that the run waits for."""


@dataclass(frozen=True)
class Answers:
    answers: Sequence[Answer]
    """In the order of the asks."""
    holders: dict[str, int] = field(default_factory=dict)
    """Where a run waits for the end of a call: the heartbeat counts of the leases' owners."""


@dataclass(frozen=True)
class _Usage:
    """What is used of a model's limits, and who waits."""

    now: float
    cooled_until: float
    requests: int
    tokens: int
    calls: int
    call_s: float
    waiting: int
    place: int
    """The next new place of the agent that asks."""


class _Began(NamedTuple):
    at: float
    requests: int
    tokens: int


@dataclass(frozen=True)
class Limited:
    """A model with its limits. `model` is the pattern in the settings, so the limits' name."""

    model: str
    limits: ModelLimits

    def ask(
        self,
        connection: Connection,
        agent: str,
        instance: str,
        asks: Sequence[Ask],
        dead: Collection[str] = (),
    ) -> Answers:
        """Grant leases to runs of one agent, or tell them when to ask again.

        Also wakes other runs whose turn it is: without `asks` it does only that. The leases of the
        instances `dead` are returned. A repetition grants the same leases once.
        """
        lock_name(connection, f"rate limit {self.model}")
        now = connection.execute(select(now_s())).scalar_one()
        self._clean(connection, now, [it.lease_id for it in asks], dead)
        used = self._usage(connection, now, agent)
        if used.waiting == 0 and all(
            self._fits(used, n, sum(it.tokens for it in asks[:n])) for n in range(1, len(asks) + 1)
        ):
            places = {it.run_id: used.place + n for n, it in enumerate(asks)}
            self._grant(connection, agent, instance, now, asks, places)
            return Answers([Answer()] * len(asks))
        self._queue(connection, agent, asks, used)
        return self._serve(connection, agent, instance, asks, used)

    def _clean(
        self, connection: Connection, now: float, repeated: Collection[str], dead: Collection[str]
    ) -> None:
        if dead:
            owned = rate_leases.c.owner.in_(dead), rate_leases.c.returned_at.is_(None)
            connection.execute(update(rate_leases).where(*owned).values(returned_at=now))
        ended = or_(rate_leases.c.returned_at.is_not(None), ~_is_held)
        at = rate_leases.c.granted_at
        over = or_(and_(at <= now - WINDOW_S, ended), at <= now - LONGEST_CALL_S)
        of_model = rate_leases.c.model == self.model
        gone = or_(rate_leases.c.lease_id.in_(repeated), over)
        connection.execute(delete(rate_leases).where(of_model, gone))

    def _usage(self, connection: Connection, now: float, agent: str) -> _Usage:
        its, of_model = rate_leases.c, rate_waits.c.model == self.model
        recent = its.granted_at > now - WINDOW_S
        last_wait = select(func.max(rate_waits.c.place)).where(
            of_model, rate_waits.c.agent == agent
        )
        row = connection.execute(
            select(
                func.coalesce(func.sum(its.requests).filter(recent), 0).label("requests"),
                func.coalesce(func.sum(its.tokens).filter(recent), 0).label("tokens"),
                func.count().filter(its.returned_at.is_(None), _is_held).label("calls"),
                func.avg(its.returned_at - its.granted_at).label("call_s"),
                func.max(its.place).label("front"),
                func.max(its.place).filter(its.agent == agent).label("last"),
                last_wait.scalar_subquery().label("last_wait"),
                select(func.count()).where(of_model).scalar_subquery().label("waiting"),
            ).where(its.model == self.model)
        ).one()
        own = max(row.last or 0, row.last_wait or 0)
        return _Usage(
            now=now,
            cooled_until=cooled_until(connection, self.model),
            requests=int(row.requests),
            tokens=int(row.tokens),
            calls=row.calls,
            call_s=float(row.call_s or TYPICAL_CALL_S),
            waiting=row.waiting,
            place=max(row.front or 0, own + 1),
        )

    def _fits(self, used: _Usage, position: int, tokens: int) -> bool:
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
        asks: Iterable[Ask],
        places: dict[str, int],
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
                "place": places[it.run_id],
            }
            for it in asks
        ]
        if leases:
            connection.execute(insert(rate_leases), leases)

    def _queue(self, connection: Connection, agent: str, asks: Sequence[Ask], used: _Usage) -> None:
        """Let the runs wait, each at its earlier place if it has one; forget those that ended."""
        its = rate_waits.c
        statement = upsert(connection, rate_waits)
        statement = statement.on_conflict_do_update(
            index_elements=[its.run_id, its.model],
            set_={"until": used.now, "tokens": statement.excluded.tokens},
        )
        for n, it in enumerate(asks):
            connection.execute(
                statement.values(
                    run_id=it.run_id,
                    model=self.model,
                    agent=agent,
                    priority=it.priority,
                    tokens=it.tokens,
                    place=used.place + n,
                    since=used.now,
                    until=used.now,
                    reason="",
                )
            )
        is_open = exists().where(runs.c.run_id == its.run_id, runs.c.ended_at.is_(None))
        late = its.model == self.model, its.until < used.now - GRACE_S
        connection.execute(delete(rate_waits).where(*late, ~is_open))

    def _serve(
        self,
        connection: Connection,
        agent: str,
        instance: str,
        asks: Sequence[Ask],
        used: _Usage,
    ) -> Answers:
        asking = {it.run_id: it for it in asks}
        found = self._next(connection, agent, used, asking)
        fit = {it.run_id for it in found if self._fits(used, it.position, int(it.total))}
        granted = [it for it in asks if it.run_id in fit]
        places = {it.run_id: it.place for it in found}
        self._grant(connection, agent, instance, used.now, granted, places)
        _forget(connection, self.model, fit & asking.keys())
        _wake(
            connection,
            self.model,
            used.now,
            [it.run_id for it in found if it.run_id in fit - asking.keys() and it.until > used.now],
        )
        answers = {it.run_id: Answer() for it in granted}
        refused = [it for it in found if it.run_id in asking and it.run_id not in fit]
        if not refused:
            return Answers([answers[it.run_id] for it in asks])
        began = self._window(connection, used.now)
        for it in refused:
            answer = self._wait(used, began, it.position, int(it.total))
            answers[it.run_id] = answer
            connection.execute(
                update(rate_waits)
                .where(rate_waits.c.run_id == it.run_id, rate_waits.c.model == self.model)
                .values(until=used.now + (answer.wait_s or 0.0), reason=answer.reason)
            )
        return Answers([answers[it.run_id] for it in asks], self._holders(connection))

    def _next(
        self, connection: Connection, agent: str, used: _Usage, asking: Collection[str]
    ) -> Sequence[Row[Any]]:
        """The first of the queue, and those that ask, with the tokens of each and those before."""
        its, now = rate_waits.c, used.now
        background = and_(its.priority == Priority.BACKGROUND, its.since > now - BACKGROUND_WAIT_S)
        order = case((background, 1), else_=0), its.place, its.since, its.run_id
        of_model, late = its.model == self.model, its.until < now - GRACE_S
        absent = select(its.agent).where(of_model, late, its.agent != agent)
        queue = (
            select(
                its.run_id,
                its.place,
                its.until,
                func.row_number().over(order_by=order).label("position"),
                func.sum(its.tokens).over(order_by=order).label("total"),
            )
            .where(of_model, ~late, its.agent.not_in(absent))
            .subquery("queue")
        )
        served = queue.c.position <= self._free(used)
        query = select(queue).where(or_(served, queue.c.run_id.in_(asking)))
        return connection.execute(query.order_by(queue.c.position)).all()

    def _free(self, used: _Usage) -> int:
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

    def _wait(self, used: _Usage, began: list[_Began], position: int, tokens: int) -> Answer:
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
            waits.append((wait_s, f"{limit} concurrent calls"))
        if used.cooled_until > now:
            pace_s = WINDOW_S / (most.requests_per_minute or UNKNOWN_PACE)
            wait_s = used.cooled_until - now + (position - 1) * pace_s
            waits.append((wait_s, "its endpoint asks to wait"))
        wait_s, reason = max(waits)
        return Answer(min(max(wait_s, SHORTEST_WAIT_S), LONGEST_WAIT_S), reason)

    def _holders(self, connection: Connection) -> dict[str, int]:
        if self.limits.concurrent_calls is None:
            return {}
        query = (
            select(instances.c.instance, instances.c.beat)
            .join_from(rate_leases, instances, rate_leases.c.owner == instances.c.instance)
            .where(rate_leases.c.model == self.model, rate_leases.c.returned_at.is_(None))
        )
        return {row.instance: row.beat for row in connection.execute(query)}


_is_held: ColumnElement[bool] = rate_leases.c.owner.in_(select(instances.c.instance))
"""The owner has not exited."""


def limit_text(model: str, reason: str) -> str:
    """Why a run waits, for the operator."""
    return f"waiting for the limit of model {model}: {reason}"


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


def _forget(connection: Connection, model: str, run_ids: Collection[str]) -> None:
    if run_ids:
        its = rate_waits.c.model == model, rate_waits.c.run_id.in_(run_ids)
        connection.execute(delete(rate_waits).where(*its))


def _wake(connection: Connection, model: str, now: float, run_ids: Collection[str]) -> None:
    """Make waiting runs due now. Rows that another process locks are left as they are: the run is
    being taken, or ended."""
    if not run_ids:
        return
    its = rate_waits.c.model == model, rate_waits.c.run_id.in_(run_ids)
    connection.execute(update(rate_waits).where(*its).values(until=now))
    later = runs.c.state == RunState.DUE, runs.c.due_at > now, runs.c.ended_at.is_(None)
    query = select(runs.c.run_id).where(runs.c.run_id.in_(run_ids), *later)
    free = connection.execute(query.with_for_update(skip_locked=True)).scalars().all()
    if free:
        connection.execute(update(runs).where(runs.c.run_id.in_(free)).values(due_at=now))


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
