"""Requests to agents over the broker: publish a message, wait for a response."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from shared.broker.connection import Broker
from shared.broker.consumer import Consumer, Delivery
from shared.broker.publisher import Outgoing
from shared.client.events import PREFETCH, received
from shared.contract import topology
from shared.contract.messages import (
    Event,
    Lineage,
    Response,
    Task,
    Trigger,
    decode,
    encode,
    run_id,
)
from shared.contract.stream import StreamPart
from shared.errors import (
    BadMessage,
    BrokerError,
    BrokerUnavailable,
    HutchError,
    Unconfirmed,
)

ASK_AGAIN_S = 30.0
"""Seconds until the task is published again: a reconnect can lose the reply queue and a response in
it, and the agent then sends the stored one."""

RETRY_S = 1.0
"""Seconds between two attempts to publish while the broker is unavailable."""

PAUSES = ("agent.paused", "agent.unpaused")
"""Events of agents, which belong to no run."""

GRACE_S = 5.0
"""Seconds to wait after a task's deadline for the agent's own response, which states the reason."""


class NoResponse(HutchError):
    """A task was published, and no response has come in time."""


async def publish(
    broker: Broker, exchange: str, routing_key: str, message: Lineage, reply_to: str | None = None
) -> None:
    """Publish a message and wait for the confirm. Raises what `Publisher.publish` raises.

    With `reply_to`, the response's correlation id is the message's id.
    """
    outgoing = Outgoing(
        exchange=exchange,
        routing_key=routing_key,
        body=encode(message),
        message_id=message.id or "",
        correlation_id=message.id if reply_to else None,
        reply_to=reply_to,
        priority=message.priority.amqp if isinstance(message, Task | Trigger) else None,
    )
    await broker.publisher.publish(outgoing)


@dataclass(frozen=True)
class MailboxState:
    """Whether an agent takes messages now. `queued` is None if it has no mailbox yet.

    A living process does not consume while its agent is paused or has no free slot.
    """

    queued: int | None
    consumed: bool
    alive: bool


async def mailbox_state(broker: Broker, agent: str) -> MailboxState:
    depth = await broker.depth(topology.mailbox_name(agent))
    consumed = depth is not None and depth.consumers > 0
    # The broker deletes this exchange when the agent's last process ends.
    alive = consumed or await broker.has_exchange(topology.store_exchange_name(agent))
    return MailboxState(depth.messages if depth else None, consumed, alive)


async def declare_mailbox(broker: Broker, agent: str) -> None:
    """Let messages wait in the agent's mailbox from now on, even before its first process starts.

    Our user may not have the right: the first process that serves `unrouted` then does it.
    """
    try:
        await broker.declare(topology.mailbox(agent))
    except BrokerUnavailable:
        raise
    except BrokerError:
        pass


async def ask(
    broker: Broker,
    agent: str,
    task: Task,
    wait_s: float,
    on_event: Callable[[Event], None],
    on_part: Callable[[StreamPart], None] = lambda _: None,
    *,
    on_sent: Callable[[], None] = lambda: None,
    ask_again_s: float = ASK_AGAIN_S,
    grace_s: float = GRACE_S,
) -> Response:
    """Publish a task and wait for its response; `on_event` gets the events of its runs meanwhile,
    and those of pauses of any agent.

    If the task has `stream`, `on_part` gets the parts of its own run's text, see `RunText`.
    `on_sent` is called each time the broker has confirmed the task. It is published again every
    `ask_again_s`, with the same id, until the response comes: the id makes it one run. Raises
    `NoResponse` when there is none within `wait_s` and `grace_s`, `BrokerError` when the broker
    refuses, `BadMessage` when the response can't be understood.
    """
    name = uuid4().hex[:12]
    await broker.declare(topology.client(name))
    responses = await broker.consumer(topology.reply_queue_name("cli", name))
    events = await broker.consumer(topology.client_events_name(name))
    parts = await _parts(broker, name, task) if task.stream else None
    try:
        async with asyncio.timeout(wait_s + grace_s), asyncio.TaskGroup() as jobs:
            following = [jobs.create_task(_follow(events, task.id or "", on_event))]
            if parts is not None:
                started = run_id(agent, task.id or "")
                following.append(jobs.create_task(_read(parts, started, on_part)))
            publishing = jobs.create_task(
                _keep_publishing(broker, agent, task, responses.queue, on_sent, ask_again_s)
            )
            response = await _response(responses, task.id or "")
            for job in (*following, publishing):
                job.cancel()
            return response
    except TimeoutError as error:
        raise NoResponse(f"no response from '{agent}' within {wait_s:.0f} s") from error
    except ExceptionGroup as group:  # one job has failed, and the others were cancelled
        raise group.exceptions[0] from group


async def _keep_publishing(
    broker: Broker,
    agent: str,
    task: Task,
    reply_to: str,
    on_sent: Callable[[], None],
    ask_again_s: float,
) -> None:
    while True:
        try:
            await publish(broker, topology.TASKS, agent, task, reply_to)
            on_sent()
            wait_s = ask_again_s
        except (BrokerUnavailable, Unconfirmed):
            wait_s = RETRY_S
        await asyncio.sleep(wait_s)


async def _response(consumer: Consumer, task_id: str) -> Response:
    await consumer.start(PREFETCH)
    async for delivery in consumer:
        await delivery.ack()
        if response := response_to(task_id, delivery):
            return response
    raise BrokerError("the connection was closed before the response came; ask again with --id")


def response_to(task_id: str, delivery: Delivery) -> Response | None:
    """The delivered response if it answers this task, else None.

    The correlation id is no proof: an agent copies the id that the requester chose, and two
    requesters can choose the same. Raises `BadMessage` for a message that has the task's id as
    its correlation id and can't be understood.
    """
    try:
        message = decode(delivery.body, delivery.content_type)
    except BadMessage:
        if delivery.correlation_id == task_id:
            raise
        return None
    return message if isinstance(message, Response) and message.task_id == task_id else None


async def _follow(consumer: Consumer, root_id: str, on_event: Callable[[Event], None]) -> None:
    await consumer.start(PREFETCH)
    async for event in received(consumer, Event):
        if event.root_id == root_id or event.name in PAUSES:
            on_event(event)


async def _parts(broker: Broker, name: str, task: Task) -> Consumer:
    root_id = task.root_id or task.id or ""
    await broker.declare(topology.client_stream(name, root_id))
    return await broker.consumer(topology.client_stream_name(name))


async def _read(consumer: Consumer, run: str, on_part: Callable[[StreamPart], None]) -> None:
    await consumer.start(PREFETCH)
    async for part in received(consumer, StreamPart):
        if part.run_id == run:
            on_part(part)
