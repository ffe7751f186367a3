"""Sending a message to an agent on behalf of a client, so that it can be repeated safely."""

from __future__ import annotations

import asyncio
import hashlib
import time
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from uuid import uuid4

import structlog

from services.gateway.access.audit import record
from services.gateway.access.caller import Caller
from services.gateway.problems import Problem
from services.gateway.tasks import lookup
from services.gateway.tasks.hub import Hub
from services.gateway.tasks.watch import Watch
from shared.client.ask import ASK_AGAIN_S, RETRY_S
from shared.client.cancel import publish_cancel, write_cancel
from shared.contract.content_hash import content_hash
from shared.contract.messages import Cancel, Task, Trigger
from shared.errors import BrokerError, BrokerUnavailable, Unconfirmed
from shared.store.messages import sent
from shared.store.messages.webhooks import Callback
from shared.store.queries import progress
from shared.store.queries.progress import RunProgress

log = structlog.get_logger()

PUBLISH_S = 15.0
"""So long a request waits for a broker that is unavailable: a restart takes about ten seconds."""

SENDER = "gateway"


def message_id(caller: Caller, idempotency_key: str | None) -> str:
    """The id of what a client creates: derived from its idempotency key, so that every gateway
    derives the same; random without one."""
    if idempotency_key is None:
        return uuid4().hex
    return hashlib.sha256(f"{caller.key_id}\0{idempotency_key}".encode()).hexdigest()[:32]


async def check_unused(hub: Hub, agent: str, task_id: str) -> None:
    """Raise 409 if the id, derived from an idempotency key, was used for another agent."""
    used = await hub.gateway.store.read(partial(sent.receivers, message_id=task_id))
    if used and agent not in used:
        raise Problem(
            HTTPStatus.CONFLICT,
            f"this Idempotency-Key belongs to a message to {', '.join(used)}: use a new one",
        )


async def submit(
    hub: Hub,
    watch: Watch,
    message: Task | Trigger,
    caller: Caller,
    callback: Callback | None = None,
) -> RunProgress | None:
    """Send a message of which `watch` waits for the response; returns when the broker has it.

    Its id, its callback and a row of the audit are stored before, so that every gateway knows it
    from then on. If the store has a run with this id already, that is returned and nothing is sent.

    Raises a `Problem` if there is no such agent, or if the id belongs to other content. After a
    `BrokerError` or `StoreError` it is unknown whether it was sent: the client repeats it with the
    same id.
    """
    others = {content_hash(it.message) for it in hub.others(watch) if it.message}
    watch.message = message
    await hub.receivers.check(watch.agent)
    if others - {content_hash(message)}:
        raise lookup.conflict(watch.agent, watch.task_id)
    store, agent, task_id = hub.gateway.store, watch.agent, watch.task_id
    noting = store.write(
        watch.run_id,
        lambda db: (
            sent.record_new(db, agent, message, callback),
            progress.end(db, watch.run_id),
            progress.sent_at(db, agent, task_id),
        ),
    )
    auditing = record(store, caller, f"{message.type}.send", f"{agent}/{task_id}")
    _, (is_ours, watch.found, watch.sent_at) = await asyncio.gather(auditing, noting)  # one commit
    if not is_ours:
        raise lookup.conflict(agent, task_id)
    if run := watch.found.run(watch.run_id):
        return run
    await _publish(hub, watch, message)
    watch.again_at = time.monotonic() + ASK_AGAIN_S
    return None


async def cancel(hub: Hub, caller: Caller, agent: str, task_id: str) -> None:
    """Cancel a task and all that it has caused; one that has ended is unchanged."""
    gateway = hub.gateway
    await record(gateway.store, caller, "task.cancel", f"{agent}/{task_id}")
    if not await write_cancel(gateway.store, agent, task_id):
        return
    message = Cancel(id=uuid4().hex, task_id=task_id, sender=SENDER, sent_at=datetime.now(UTC))
    try:
        await publish_cancel(gateway.broker, agent, message)
    except BrokerError as error:
        log.warning("only the store has a cancel", task=task_id, reason=str(error))


async def _publish(hub: Hub, watch: Watch, message: Task | Trigger) -> None:
    until = time.monotonic() + PUBLISH_S
    while True:
        try:
            return await hub.publish(watch, message)
        except (BrokerUnavailable, Unconfirmed):
            if time.monotonic() > until:
                raise
        await asyncio.sleep(RETRY_S)
