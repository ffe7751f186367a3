"""The broker's condition, and the rights that its user has for commands."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import uuid4

from services.cli.doctor.finding import Area, Finding, fault, not_seen
from services.cli.places import IN_COMPOSE
from shared.broker.connection import Broker
from shared.contract import topology
from shared.contract.topology import ALL, CONTROL, DEAD_QUEUE, TASKS, shutdown_key
from shared.errors import BrokerError


def alarm_findings(takes_messages: bool | None) -> Iterator[Finding]:
    if takes_messages is None:
        yield not_seen(
            Area.BROKER,
            "whether the broker takes messages: its user may not publish to the default exchange",
            "'rabbitmq-diagnostics alarms' says whether its memory or disk is short",
        )
    elif not takes_messages:
        yield fault(
            Area.BROKER,
            "the broker takes no messages: its memory or disk is short",
            "'rabbitmq-diagnostics alarms' says which; give it more: nothing is lost meanwhile",
        )


async def rights_findings(broker: Broker, url: str) -> list[Finding]:
    """The rights that commands need and this user lacks. Nothing is published.

    Not for a broker with an alarm, which would stop reading from this connection.
    """
    missing = []
    if not await broker.may_publish(TASKS, ALL):
        missing.append(f"publish to '{TASKS}' (ask, send, trigger)")
    if not await broker.may_publish(CONTROL, shutdown_key(ALL)):
        missing.append(f"publish to '{CONTROL}' (cancel, shutdown)")
    if not await broker.may_read(DEAD_QUEUE):
        missing.append(f"read the queue '{DEAD_QUEUE}' (dead)")
    if (await broker.inspect(topology.system().exchanges[0])).exists:
        try:
            await broker.declare(topology.client(uuid4().hex[:12]))
        except BrokerError:
            missing.append("declare and bind a queue 'reply.cli.…' (ask)")
    if not missing:
        return []
    return [
        fault(
            Area.RIGHTS,
            f"the broker's user '{urlsplit(url).username or 'guest'}' may not "
            + ", nor ".join(missing),
            f"use the user 'operator', for example with '{IN_COMPOSE} …', or import what "
            "'hutch topology' prints",
        )
    ]
