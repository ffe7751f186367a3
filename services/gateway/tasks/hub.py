"""Hands the messages that a gateway receives from the broker to the clients that wait for them.

Each process has one queue for responses, one for all events, and one for the texts of the runs that
its clients follow now.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from typing import Annotated

import structlog
from fastapi import Depends, Request

from services.gateway.gateway import Gateway
from services.gateway.metrics import Metrics
from services.gateway.tasks.receivers import Receivers
from services.gateway.tasks.text_queue import TextQueue
from services.gateway.tasks.watch import Watch
from shared.broker.consumer import Consumer, Delivery
from shared.broker.publisher import Outgoing
from shared.client.ask import ASK_AGAIN_S
from shared.client.events import received
from shared.contract import topology
from shared.contract.messages import Event, Response, Status, Task, Trigger, decode, encode
from shared.contract.stream import StreamPart
from shared.errors import BadMessage, BrokerError
from shared.process.stopping import Stopping

log = structlog.get_logger()

CHECK_S = 5.0
"""Seconds between two looks for messages that are to be sent again."""

TEXT_PREFETCH = 2000
"""Many clients' texts are thousands of small messages a second: with a hundred at a time, a busy
broker's round trips would delay them by seconds."""

MOST_EVENTS = 1000
"""The most events that wait for a slow client; then it loses the oldest."""


class Hub:
    def __init__(self, gateway: Gateway, metrics: Metrics) -> None:
        self.gateway = gateway
        self.metrics = metrics
        self.reply_to = topology.reply_queue_name(topology.GATEWAY, gateway.instance)
        self.receivers = Receivers(gateway)
        self._by_id: dict[str, Watch] = {}
        self._by_run: dict[str, set[Watch]] = defaultdict(set)
        self._by_root: dict[str, set[Watch]] = defaultdict(set)
        self._listeners: set[Listener] = set()
        self._texts = TextQueue(gateway.broker, topology.gateway_texts_name(gateway.instance))

    @asynccontextmanager
    async def watch(
        self, agent: str, task_id: str, *, root_id: str | None = None, text: bool = False
    ) -> AsyncIterator[Watch]:
        """A client that waits for a task of an agent; with `text` it gets the text of its run.

        It may begin before the task is sent, so that nothing is missed.
        """
        watch = Watch(self.gateway, agent, task_id)
        root_id = root_id or task_id
        self._by_id[watch.id] = watch
        self._by_run[watch.run_id].add(watch)
        self._by_root[root_id].add(watch)
        try:
            async with self._texts.of(root_id) if text else nullcontext():
                yield watch
        finally:
            del self._by_id[watch.id]
            _remove(self._by_run, watch.run_id, watch)
            _remove(self._by_root, root_id, watch)

    def others(self, watch: Watch) -> Iterator[Watch]:
        """The other clients of this process that wait for the same task."""
        return (it for it in self._by_run[watch.run_id] if it is not watch)

    @contextmanager
    def listening(self, wanted: Callable[[Event], bool]) -> Iterator[Listener]:
        """A client that gets the wanted events for the time of the context."""
        listener = Listener(self.gateway.stopping, wanted)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.remove(listener)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Receive from the broker for the time of the context."""
        broker, instance = self.gateway.broker, self.gateway.instance
        await broker.declare(topology.gateway(instance))
        queues = (self.reply_to, topology.gateway_events_name(instance), self._texts.queue)
        responses, events, texts = [await broker.consumer(queue) for queue in queues]
        for consumer in (responses, events, texts):
            await consumer.start(TEXT_PREFETCH)
        async with asyncio.TaskGroup() as jobs:
            serving = (
                self._take_responses(responses),
                self._take_events(events),
                self._take_texts(texts),
                self._texts.keep(),
                self._send_again(),
                self._drain(),
            )
            running = [jobs.create_task(it) for it in serving]
            yield
            for job in running:
                job.cancel()

    async def _take_responses(self, consumer: Consumer) -> None:
        async for delivery in consumer:
            await delivery.ack()
            watch = self._by_id.get(delivery.correlation_id or "")
            if watch and (response := _response(watch, delivery)):
                watch.answer(response)

    async def _take_events(self, consumer: Consumer) -> None:
        async for event in received(consumer, Event):
            for watch in self._by_root.get(event.root_id or "", ()):
                watch.hint()
            for listener in self._listeners:
                listener.add(event)

    async def _take_texts(self, consumer: Consumer) -> None:
        async for part in received(consumer, StreamPart):
            for watch in self._by_run.get(part.run_id, ()):
                watch.add_part(part)

    async def _send_again(self) -> None:
        """Send again what clients wait for and no agent has taken: its response may be lost."""
        while True:
            await asyncio.sleep(CHECK_S)
            for watch in list(self._by_id.values()):
                if watch.message and not watch.found.runs and watch.again_at <= time.monotonic():
                    watch.again_at = time.monotonic() + ASK_AGAIN_S
                    with suppress(BrokerError):
                        await self.publish(watch, watch.message)

    async def publish(self, watch: Watch, message: Task | Trigger) -> None:
        """Publish a message once; its response comes to this client. Raises `BrokerError`."""
        await self.gateway.broker.publisher.publish(
            Outgoing(
                exchange=topology.TASKS,
                routing_key=watch.agent,
                body=encode(message),
                message_id=watch.task_id,
                correlation_id=watch.id,
                reply_to=self.reply_to,
                priority=message.priority.amqp,
            )
        )

    async def _drain(self) -> None:
        """End all that clients wait for here, so that they go on at another gateway."""
        await self.gateway.stopping.wait()
        for watch in self._by_id.values():
            watch.wake()
        for listener in self._listeners:
            listener.wake()


class Listener:
    """A client that gets events; a slow one loses the oldest."""

    def __init__(self, stopping: Stopping, wanted: Callable[[Event], bool]) -> None:
        self._stopping = stopping
        self._wanted = wanted
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._changed = asyncio.Event()

    def wake(self) -> None:
        self._changed.set()

    def add(self, event: Event) -> None:
        if self._wanted(event):
            self._events.append(event)
            self.wake()

    async def __aiter__(self) -> AsyncGenerator[Event]:
        """The events, until this gateway ends."""
        while not self._stopping.mode:
            await self._changed.wait()
            self._changed.clear()
            while self._events:
                yield self._events.popleft()


def _response(watch: Watch, delivery: Delivery) -> Response | None:
    """The response to this client's task; a `failed` one if what its agent sent can't be read.

    The correlation id is a random one of this client, so only its agent can have copied it.
    """
    try:
        message = decode(delivery.body, delivery.content_type)
    except BadMessage as error:
        log.warning("response not understood", agent=watch.agent, reason=str(error))
        return Response(
            task_id=watch.task_id,
            agent=watch.agent,
            status=Status.FAILED,
            content=f"the response of {watch.agent} can't be understood: {error}",
        )
    return message if isinstance(message, Response) and message.task_id == watch.task_id else None


def of(request: Request) -> Hub:
    """The hub of the gateway that a request has reached, as a dependency of FastAPI."""
    hub: Hub = request.app.state.hub
    return hub


SharedHub = Annotated[Hub, Depends(of)]
"""As a parameter of a route."""


def _remove(index: dict[str, set[Watch]], key: str, watch: Watch) -> None:
    index[key].remove(watch)
    if not index[key]:
        del index[key]
