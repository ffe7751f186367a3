"""The requesters that wait for a run's response, and the answers to them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, select
from sqlalchemy.engine import Connection

from shared.store.database.dialect import insert_new
from shared.store.database.prepared import Prepared
from shared.store.messages import outbox
from shared.store.messages.outbox import Outbound
from shared.store.schema import requesters


@dataclass(frozen=True)
class Requester:
    """Where a response goes; both fields are AMQP properties of the request."""

    reply_to: str
    correlation_id: str = ""


_WAITING = Prepared(
    lambda _: select(requesters.c.reply_to, requesters.c.correlation_id).where(
        requesters.c.run_id == bindparam("run_id")
    )
)


def join(connection: Connection, run_id: str, requester: Requester | None) -> None:
    """Add a requester to those that get the run's response; None: the request named none."""
    if requester is not None:
        insert_new(connection, requesters, {"run_id": run_id} | vars(requester))


def waiting(connection: Connection, run_id: str) -> list[Requester]:
    return [Requester(row[0], row[1]) for row in _WAITING.rows(connection, {"run_id": run_id})]


def answer(
    connection: Connection,
    run_id: str,
    epoch: int,
    agent: str,
    owner: str,
    response: str,
    to: Requester,
) -> Outbound:
    """Add a copy of the response to the outbox, for `owner` to publish after the commit."""
    message = Outbound.answer(run_id, epoch, to.reply_to, to.correlation_id, response)
    return outbox.add(connection, message, agent, owner)
