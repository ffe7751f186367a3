"""Calls to workers: a task goes to the worker's mailbox, its response comes to this process's reply
queue.

A worker whose run is parked may answer in days: the store says so, and its manager parks too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import structlog

from services.agent.delivery.senders import check_sender
from services.agent.delivery.settle import Settlement
from services.agent.instance import Instance
from services.agent.loop.approvals import ParkedWorker
from services.agent.loop.budget import capped_usage
from services.agent.loop.journal import StepKey
from services.agent.runs.admission import Slot
from shared.broker.consumer import Consumer, Delivery
from shared.broker.publisher import Outgoing
from shared.concurrency.fault_boundary import contained
from shared.contract.access import agent_user
from shared.contract.messages import (
    Budget,
    Response,
    Status,
    Task,
    Trigger,
    decode,
    encode,
    run_id,
)
from shared.contract.topology import TASKS, reply_queue_name
from shared.errors import BadMessage, BrokerError
from shared.store.runs.parking import parked
from shared.store.runs.run import Run
from shared.store.runs.takeover import set_state
from shared.store.schema import RunState

log = structlog.get_logger()

ASK_AGAIN_S = 60.0
"""A response can be lost with its queue. If it is asked again, the worker sends the stored one."""

ASK_RETRY_S = 1.0
"""Between two attempts while the broker is unavailable."""

Reply = Response | ParkedWorker

LATEST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
"""The latest deadline that a message can have; that of a run can be later."""

PARKED_POLL_S = 2.0
"""Between two queries for parked runs among those that this process waits for."""

REPLIES_PREFETCH = 100
"""Responses are received without waiting; the prefetch only pipelines their acks."""


class Replies:
    """The calls of this process that wait for a response, by their id."""

    def __init__(self, instance: Instance) -> None:
        self.queue = reply_queue_name(instance.agent, instance.id)
        self._store = instance.store
        self._expected: dict[str, tuple[str, asyncio.Future[Reply]]] = {}

    @contextmanager
    def expect(self, call_id: str, worker: str) -> Iterator[asyncio.Future[Reply]]:
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._expected[call_id] = worker, reply
        try:
            yield reply
        finally:
            del self._expected[call_id]

    async def serve(self, consumer: Consumer, settlement: Settlement) -> None:
        """Receive and ack every reply, until cancelled."""
        await settlement.serve(consumer, REPLIES_PREFETCH, self.receive)

    async def watch_parked(self) -> None:
        """End the waits for workers whose runs are parked, until cancelled."""
        while True:
            await asyncio.sleep(PARKED_POLL_S)
            if self._expected:
                await contained(self._end_parked, "parked workers not looked up")

    async def _end_parked(self) -> None:
        waits = {run_id(worker, call): reply for call, (worker, reply) in self._expected.items()}
        for found in await self._store.read(partial(parked, run_ids=waits.keys())):
            if not waits[found].done():
                waits[found].set_result(ParkedWorker(found))

    async def receive(self, delivery: Delivery) -> None:
        """Pass a response to the call whose id is its `task_id`; late and unknown ones are dropped.

        The correlation id is not used, since a worker can return it with the answer to another
        task. Raises `BadMessage` for a response that is not the worker's. A call goes on waiting
        after a response that doesn't answer it.
        """
        call, response = _response(delivery)
        if call != delivery.correlation_id and delivery.correlation_id in self._expected:
            log.warning("reply to another task", call=delivery.correlation_id, task=call)
        worker, reply = self._expected.get(call, (None, None))
        if worker is None or reply is None or reply.done():
            return
        check_sender(delivery, *(agent_user(it) for it in {worker, response.agent or worker}))
        if response.agent not in {"", worker}:
            log.warning("reply of another agent", call=call, worker=worker, agent=response.agent)
            return
        reply.set_result(response)


def _response(delivery: Delivery) -> tuple[str, Response]:
    """The id of the answered call, and the response.

    A body that is no response becomes a failed response, so that the call ends. Then the
    correlation id identifies the call: it can be trusted, since only the worker knows that id.
    """
    try:
        message = decode(delivery.body, delivery.content_type)
        if isinstance(message, Response):
            return message.task_id, message
        why = f"it is a {message.type}"
    except BadMessage as error:
        why = str(error)
    log.warning("reply not understood", call=delivery.correlation_id, why=why)
    content = f"the reply could not be understood: {why}"
    failed = Response(task_id="unknown", agent="", status=Status.FAILED, content=content)
    return delivery.correlation_id or "", failed


def with_capped_usage(
    instance: Instance, run: Run, worker: str, response: Response, share: Budget
) -> Response:
    """The response with its reported usage limited to its share; a difference is logged.

    The answer itself is used in any case, since it was paid for.
    """
    reported, usage = response.usage, capped_usage(response.usage, share)
    if usage != reported:
        counts = usage.model_dump()
        log.warning("usage capped", worker=worker, reported=reported.model_dump(), **counts)
        instance.announce("usage.capped", run, worker=worker, **counts)
    return response.model_copy(update={"usage": usage})


@dataclass
class WorkerCalls:
    """The calls of one run to its workers; see `loop.calls.Workers`."""

    instance: Instance
    replies: Replies
    slot: Slot
    run: Run
    message: Task | Trigger

    async def ask(
        self,
        key: StepKey,
        worker: str,
        prompt: str,
        context: str | None,
        budget: Budget,
        reserve_s: float,
    ) -> Response | ParkedWorker:
        """See `Workers.ask`. There is no time limit here."""
        run = self.run
        call_id = key.step_id(run.run_id, run.nonce)
        task = Task(
            id=call_id,
            content=prompt,
            context=context,
            root_id=run.root_id,
            parent_id=run.task_id,
            path=(*self.message.path, run.agent),
            hops=self.message.hops,
            deadline=datetime.fromtimestamp(min(run.deadline_at - reserve_s, LATEST), UTC),
            budget=budget if self.message.budget else None,
            session=self.message.session,
            priority=self.message.priority,
            traceparent=self.message.traceparent,
            sender=run.agent,
            sent_at=datetime.now(UTC),
        )
        self.instance.announce("worker.asked", run, worker=worker)
        with self.replies.expect(call_id, worker) as reply:
            while not reply.done():
                wait_s = ASK_AGAIN_S if await self._publish(worker, task) else ASK_RETRY_S
                await asyncio.wait([reply], timeout=wait_s)
            response = reply.result()
        if isinstance(response, ParkedWorker):
            return response
        self.instance.announce("worker.answered", run, worker=worker, status=response.status)
        return with_capped_usage(self.instance, run, worker, response, budget)

    async def _publish(self, worker: str, task: Task) -> bool:
        message = Outgoing(
            exchange=TASKS,
            routing_key=worker,
            body=encode(task),
            message_id=task.id or "",
            correlation_id=task.id,
            reply_to=self.replies.queue,
            priority=task.priority.amqp,
        )
        try:
            await self.instance.publisher.publish(message)
        except BrokerError as error:
            self.instance.metrics.publish_failures.inc()
            log.warning("worker not asked yet", worker=worker, error=str(error))
            return False
        return True

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Pause the slot until the block is left; after an error in the block it stays paused."""
        await self._mark(RunState.WAITING)
        self.slot.pause()
        yield
        await self.slot.resume()
        await self._mark(RunState.RUNNING)

    async def _mark(self, state: RunState) -> None:
        await self.instance.store.write(
            self.run.run_id, lambda connection: set_state(connection, self.run, state)
        )
        self.instance.announce(f"run.{state}", self.run)
