"""The broker as a command uses it: publish a message, and wait for the response to a task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TypeVar
from uuid import uuid4

from pydantic import ValidationError

from services.cli.commands.up import HOME
from services.cli.machine.broker import told
from shared.broker.connection import Broker, connect
from shared.broker.consumer import Consumer, Delivery
from shared.broker.publisher import Outgoing
from shared.contract import topology
from shared.contract.messages import (
    COUNT_MOST,
    Budget,
    Event,
    Lineage,
    Response,
    Task,
    decode,
    encode,
)
from shared.errors import (
    BadMessage,
    BrokerError,
    BrokerUnavailable,
    HutchError,
    SettingsError,
    Unconfirmed,
)
from shared.settings.environment import Settings

ASK_AGAIN_S = 30.0
"""A reconnect can lose a response with its queue; asked again, the agent sends the stored one."""

RETRY_S = 1.0
"""Between two tries while the broker is away; it comes back by itself or the wait ends."""

PREFETCH = 100
"""One command acks as fast as it reads."""

GRACE_S = 5.0
"""After a task's deadline: the agent's own response says better why nothing came."""

Sent = TypeVar("Sent", bound=Lineage)


def address(settings: Settings) -> str:
    """RABBITMQ_URL; else the broker that 'hutch up' runs in this folder, else `SettingsError`."""
    running = told(HOME) if settings.given_broker() is None else None
    return running or settings.broker()


@asynccontextmanager
async def house(settings: Settings) -> AsyncIterator[Broker]:
    """The broker with the exchanges in place. Raises `SettingsError`, `BrokerError`."""
    async with connect(address(settings), "hutch command") as broker:
        await broker.declare(topology.house())
        yield broker


def message(kind: type[Sent], **fields: object) -> Sent:
    """A message of ours, with an id; raises `SettingsError` for what can't be sent."""
    ours = {"id": uuid4().hex, "sender": "cli", "sent_at": datetime.now(UTC)}
    given = {key: value for key, value in fields.items() if value is not None}
    try:
        return kind.model_validate(ours | given)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise SettingsError(f"{fault['loc'][0]}: {fault['msg']}") from error


def budget(model_calls: int | None, tokens: int | None) -> Budget | None:
    """None: no limit at all. Raises `SettingsError` for a number that no message can carry."""
    if model_calls is None and tokens is None:
        return None
    if max(model_calls or 0, tokens or 0) > COUNT_MOST:
        raise SettingsError(f"--model-calls and --tokens are at most {COUNT_MOST}")
    return Budget(model_calls=model_calls, tokens=tokens)


async def publish(
    broker: Broker, exchange: str, routing_key: str, sent: Lineage, reply_to: str | None = None
) -> None:
    """Confirmed when it returns; raises `Undeliverable` when no queue takes it."""
    outgoing = Outgoing(
        exchange=exchange,
        routing_key=routing_key,
        body=encode(sent),
        message_id=sent.id or "",
        correlation_id=sent.id if reply_to else None,
        reply_to=reply_to,
    )
    await broker.publisher.publish(outgoing)


async def attended(broker: Broker, agent: str) -> bool:
    """Some process takes tasks from the agent's mailbox at this moment."""
    depth = await broker.depth(topology.mailbox_name(agent))
    return depth is not None and depth.consumers > 0


async def ask(
    broker: Broker, agent: str, task: Task, wait_s: float, hear: Callable[[Event], None]
) -> Response:
    """The one response to a task; `hear` gets the events of its runs meanwhile.

    Asks again as long as nothing comes: the id makes it one run. Raises `HutchError` when
    there is no response within `wait_s`, `BrokerError` when the broker refuses.
    """
    name = uuid4().hex[:12]
    await broker.declare(topology.visitor(name))
    responses = await broker.consumer(topology.reply_queue_name("cli", name))
    events = await broker.consumer(topology.visitor_events_name(name))
    try:
        async with asyncio.timeout(wait_s + GRACE_S), asyncio.TaskGroup() as jobs:
            watching = jobs.create_task(_watch(events, task.id or "", hear))
            asking = jobs.create_task(_keep_asking(broker, agent, task, responses.queue))
            response = await _response(responses, task.id or "")
            watching.cancel()
            asking.cancel()
            return response
    except TimeoutError as error:
        raise HutchError(
            f"no response from '{agent}' within {wait_s:.0f} s: see 'hutch status' for its "
            f"processes; 'hutch show {task.id}' tells later what became of it"
        ) from error


async def _keep_asking(broker: Broker, agent: str, task: Task, reply_to: str) -> None:
    while True:
        try:
            await publish(broker, topology.TASKS, agent, task, reply_to)
            wait_s = ASK_AGAIN_S
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
    """The response to this very task, if that is what was delivered.

    A correlation id is not enough: an agent sends it back with the answer to anybody's task. Raises
    `BadMessage` for what can't be understood and says that it is about this task.
    """
    try:
        heard = decode(delivery.body, delivery.content_type)
    except BadMessage:
        if delivery.correlation_id == task_id:
            raise
        return None
    return heard if isinstance(heard, Response) and heard.task_id == task_id else None


async def _watch(consumer: Consumer, root_id: str, hear: Callable[[Event], None]) -> None:
    await consumer.start(PREFETCH)
    async for delivery in consumer:
        await delivery.ack()
        try:
            event = Event.model_validate_json(delivery.body)
        except ValidationError:
            continue  # anybody may publish there; what is no event tells nothing
        if event.root_id == root_id:
            hear(event)
