"""Webhooks: the addresses that get a run's response, and the requests for approval before it, each
at least once, always with one id."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, delete, exists, or_, select, update
from sqlalchemy.engine import Connection

from shared.contract.call_ids import call_of
from shared.store.database.dialect import insert_new
from shared.store.messages.tables import webhooks
from shared.store.processes.access_tables import api_keys
from shared.store.schema import RunState, approvals, now_s, runs

LEASE_S = 60.0
"""The time that a gateway has for one attempt. If it dies meanwhile, another gateway tries then."""


@dataclass(frozen=True)
class Webhook:
    """One that is to be sent now: the response of a task, as JSON, or the request `approval_id`.

    `ended_at` is in seconds since the epoch, `attempts` are those that have failed.
    """

    webhook_id: str
    url: str
    attempts: int
    agent: str
    task_id: str
    response: str | None
    ended_at: float | None
    approval_id: str | None = None


@dataclass(frozen=True)
class Callback:
    """The address that receives a run's response, and the id of the key that has named it; it is
    empty where no key is needed."""

    url: str
    key_id: str


_PENDING = (webhooks.c.delivered_at.is_(None), webhooks.c.given_up_at.is_(None))


def webhook_id(subject: str, callback: Callback) -> str:
    """The id that all attempts have: the same for the same address, so that one gets it once.

    `subject` is the id of the run, or of the request for approval.
    """
    return "msg_" + hashlib.sha256(f"{subject}\0{callback.url}".encode()).hexdigest()[:32]


def add(
    connection: Connection, run_id: str, callback: Callback, approval_id: str | None = None
) -> None:
    """Have the run's response, or a request for approval, sent to an address. A repetition changes
    nothing."""
    row = {
        "webhook_id": webhook_id(approval_id or run_id, callback),
        "run_id": run_id,
        "url": callback.url,
        "key_id": callback.key_id,
        "due_at": 0.0,
        "attempts": 0,
        "last_error": "",
        "approval_id": approval_id,
    }
    insert_new(connection, webhooks, row, stamp="created_at")


def add_approvals(connection: Connection, run_id: str, approval_ids: Sequence[str]) -> None:
    """Have requests for approval of a run sent to the addresses that get the response of the task
    that its tree began with."""
    if not approval_ids:
        return
    first = _first(connection, run_id)
    query = select(webhooks.c.url, webhooks.c.key_id)
    own = query.where(webhooks.c.run_id == first, webhooks.c.approval_id.is_(None))
    for url, key_id in connection.execute(own).all():
        for approval_id in approval_ids:
            add(connection, first, Callback(url, key_id), approval_id)


def _first(connection: Connection, run_id: str) -> str:
    """The id of the run at the top of a run's tree."""
    query = select(runs.c.task_id, runs.c.parent_id)
    seen: set[str] = set()
    run = connection.execute(query.where(runs.c.run_id == run_id)).first()
    while run is not None and run_id not in seen and (call := call_of(run.task_id)):
        seen.add(run_id)
        caller = connection.execute(query.where(runs.c.run_id == call.run_id)).first()
        if caller is None or caller.task_id != run.parent_id:
            break
        run_id, run = call.run_id, caller
    return run_id


def take_due(connection: Connection, most: int) -> Sequence[Webhook]:
    """Take webhooks for an attempt, for `LEASE_S`: of ended runs, and of requests that wait for a
    decision. No other gateway takes them.

    Those of revoked keys are left out.
    """
    waits = exists().where(
        approvals.c.approval_id == webhooks.c.approval_id, approvals.c.state == "pending"
    )
    has_ended = and_(webhooks.c.approval_id.is_(None), runs.c.state == RunState.ENDED)
    active = exists().where(api_keys.c.key_id == webhooks.c.key_id, api_keys.c.revoked_at.is_(None))
    query = (
        select(
            webhooks.c.webhook_id,
            webhooks.c.url,
            webhooks.c.attempts,
            runs.c.agent,
            runs.c.task_id,
            runs.c.response,
            runs.c.ended_at,
            webhooks.c.approval_id,
        )
        .join_from(webhooks, runs, webhooks.c.run_id == runs.c.run_id)
        .where(*_PENDING, webhooks.c.due_at <= now_s(), or_(has_ended, waits))
        .where(or_(webhooks.c.key_id == "", active))
        .order_by(webhooks.c.due_at)
        .limit(most)
        .with_for_update(skip_locked=True, of=webhooks)
    )
    found = [Webhook(*row) for row in connection.execute(query)]
    _change(connection, [it.webhook_id for it in found], due_at=now_s() + LEASE_S)
    return found


def delivered(connection: Connection, webhook_id: str) -> None:
    _change(connection, [webhook_id], delivered_at=now_s(), last_error="")


def postpone(connection: Connection, webhook_id: str, delay_s: float, error: str = "") -> None:
    """Try again after `delay_s`. With an error, the attempt counts as failed."""
    failed = {"attempts": webhooks.c.attempts + 1, "last_error": error} if error else {}
    _change(connection, [webhook_id], due_at=now_s() + delay_s, **failed)


def give_up(connection: Connection, webhook_id: str, error: str) -> None:
    failed = {"attempts": webhooks.c.attempts + 1, "last_error": error}
    _change(connection, [webhook_id], given_up_at=now_s(), **failed)


def remove_old(connection: Connection, keep_s: float) -> None:
    """Delete the webhooks that were added `keep_s` ago or earlier, whatever became of them, unless
    their run is open or has ended later: a delayed one can be open for longer."""
    since = now_s() - keep_s
    kept = exists().where(
        runs.c.run_id == webhooks.c.run_id,
        or_(runs.c.ended_at.is_(None), runs.c.ended_at > since),
    )
    connection.execute(delete(webhooks).where(webhooks.c.created_at <= since, ~kept))


def _change(connection: Connection, webhook_ids: Sequence[str], **fields: object) -> None:
    chosen = webhooks.c.webhook_id.in_(webhook_ids)
    connection.execute(update(webhooks).where(chosen, *_PENDING).values(**fields))
