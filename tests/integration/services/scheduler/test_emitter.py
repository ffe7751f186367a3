"""The emitter on a real broker and store; ticks are made old in the store, not waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import func, select, update
from sqlalchemy.engine import Connection

from services.scheduler.emitter import RESEND_S, Emitter
from services.scheduler.metrics import Metrics
from services.scheduler.plan import Scheduled
from shared.broker.connection import Broker
from shared.contract import topology
from shared.contract.messages import run_id
from shared.definitions.schedules.schedule import Schedule
from shared.store import Store, open_store, schema
from shared.store.messages import ticks
from shared.store.messages.ticks import UNCLAIMED_S, TickOutcome
from shared.store.runs.claim import Request, claim, freeze
from shared.store.runs.end import RunEnd, end
from shared.store.runs.run import Run
from tests.support.brokers.rabbitmq import Rabbit
from tests.support.brokers.waiting import until

MAILBOX = topology.mailbox_name("alice")
HOUR_S = 3600.0


def schedule(every: str, **policies: str) -> Scheduled:
    fields = {"name": "plan", "prompt": "Plan the day.", "every": every} | policies
    return Scheduled("alice", Schedule.model_validate(fields))


@asynccontextmanager
async def emitting(store: Store, broker: Broker, one: Scheduled) -> AsyncIterator[Emitter]:
    """A scheduler for as long as the block lasts."""
    emitter = Emitter(store, broker.publisher, Metrics(CollectorRegistry()), [one])
    job = asyncio.create_task(emitter.serve())
    try:
        yield emitter
    finally:
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
    assert job.cancelled()


async def settle(store: Store, one: Scheduled) -> ticks.Settled:
    """Decide the ticks, as a scheduler does before it publishes."""
    return await store.write(
        one.key,
        partial(
            ticks.settle,
            agent=one.agent,
            schedule=one.schedule.name,
            coming=one.coming,
            choose=one.choose,
        ),
    )


async def has(store: Store, expected: Callable[[dict[str, int]], bool]) -> None:
    """Wait until the outcomes and their counts are as expected."""

    def count(connection: Connection) -> dict[str, int]:
        outcome = schema.ticks.c.outcome
        rows = connection.execute(select(outcome, func.count()).group_by(outcome))
        return {str(row[0]): int(row[1]) for row in rows}

    async def reached() -> bool:
        return expected(await store.read(count))

    await until(reached)


async def make_older(store: Store, column: str, seconds: float) -> None:
    """Move this time back, as if so much time had passed."""
    of_all = update(schema.ticks).values({column: schema.ticks.c[column] - seconds})
    await store.write("", lambda connection: connection.execute(of_all).rowcount)


async def mailbox(broker: Broker) -> list[str]:
    """Takes all messages; their ids in order."""
    depth = await broker.depth(MAILBOX)
    consumer = await broker.consumer(MAILBOX)
    await consumer.start(prefetch=200)
    await until(lambda: consumer.waiting == (depth.messages if depth else 0))
    ids = []
    while delivery := consumer.get_nowait():
        ids.append(delivery.message_id or "")
        await delivery.ack()
    await consumer.close()
    return ids


async def sent(store: Store) -> set[str]:
    query = select(schema.ticks.c.message_id).where(schema.ticks.c.outcome == TickOutcome.SENT)
    return await store.read(lambda connection: set(connection.execute(query).scalars()))


async def claimed(store: Store, tick_id: str) -> Run:
    """Claim a tick as alice does."""
    await store.write("", lambda connection: freeze(connection, "hash", "{}"))
    request = Request(
        run_id=run_id("alice", tick_id),
        agent="alice",
        task_id=tick_id,
        kind="trigger",
        content_hash="hash",
        message="{}",
        definition="hash",
        root_id=tick_id,
        parent_id=None,
        timeout_s=HOUR_S,
        deadline_at=None,
        requester=None,
        with_notes=False,
    )
    made = await store.write("", lambda connection: claim(connection, request, "a1", slot=True))
    assert made.run is not None
    return made.run


async def test_a_new_schedule_has_missed_no_tick(store: Store, broker: Broker) -> None:
    async with emitting(store, broker, schedule("1h", missed="all")):
        await has(store, lambda found: found == {"seen": 1})
    assert await mailbox(broker) == []


@pytest.mark.essential
async def test_one_of_two_schedulers_that_settle_at_once_decides(
    store: Store, store_url: str
) -> None:
    one = schedule("1h", missed="all")
    await settle(store, one)
    await make_older(store, "nominal_at", 50 * HOUR_S)
    async with open_store(store_url) as other:
        both = await asyncio.gather(*(settle(each, one) for each in (store, other) * 5))
    assert sorted(len(settled.ticks) for settled in both) == [0] * 9 + [50]


@pytest.mark.essential
@pytest.mark.parametrize(("missed", "count"), [("last", 1), ("all", 3)])
async def test_after_a_gap_the_missed_ticks_are_sent(
    store: Store, broker: Broker, missed: str, count: int
) -> None:
    one = schedule("1h", missed=missed)
    async with emitting(store, broker, one):
        await has(store, lambda found: found == {"seen": 1})
    await make_older(store, "nominal_at", 3 * HOUR_S)
    async with emitting(store, broker, one) as emitter:
        await has(store, lambda found: found.get("sent") == count)
        await until(lambda: emitter.emitting)
    ids = await mailbox(broker)
    assert len(set(ids)) == len(ids) == count
    assert (await settle(store, one)).ticks == ()


async def test_missed_none_drops_the_missed_ticks(store: Store, broker: Broker) -> None:
    far = (datetime.now(UTC).month + 5) % 12 + 1  # half a year from now, and from a year ago
    once = {"name": "plan", "prompt": "Plan.", "cron": f"0 0 1 {far} *", "missed": "none"}
    one = Scheduled("alice", Schedule.model_validate(once))
    await settle(store, one)
    await make_older(store, "nominal_at", 365 * 24 * HOUR_S)
    async with emitting(store, broker, one):
        await has(store, lambda found: found == {"seen": 1, "missed": 1})
    assert await mailbox(broker) == []


async def test_while_a_tick_is_unclaimed_or_open_the_next_are_skipped(
    store: Store, broker: Broker
) -> None:
    async with emitting(store, broker, schedule("1s")):
        await has(store, lambda found: found.get("skipped", 0) >= 1)
        (first,) = await mailbox(broker)
        run = await claimed(store, first)
        await has(store, lambda found: found.get("skipped", 0) >= 3)
        assert await mailbox(broker) == []
        ending = RunEnd("ok", "m1", "{}")
        await store.write("", lambda connection: end(connection, run, ending, "a1"))
        await has(store, lambda found: found.get("sent") == 2)
    assert len(await mailbox(broker)) == 1


async def test_an_unclaimed_tick_does_not_hold_up_later_ones_for_ever(
    store: Store, broker: Broker
) -> None:
    one = schedule("1s")
    async with emitting(store, broker, one):
        await has(store, lambda found: found.get("skipped", 0) >= 1)
        await make_older(store, "decided_at", UNCLAIMED_S)
        await has(store, lambda found: found.get("sent") == 2)


@pytest.mark.essential
async def test_the_unsent_ticks_of_a_dead_scheduler_are_published_by_another(
    store: Store, broker: Broker
) -> None:
    one = schedule("1h")
    await settle(store, one)
    await make_older(store, "nominal_at", HOUR_S)
    (left,) = (await settle(store, one)).ticks
    assert left.outcome is TickOutcome.SENDING
    async with emitting(store, broker, one), emitting(store, broker, one):
        await make_older(store, "tried_at", RESEND_S)
        await has(store, lambda found: found.get("sent") == 1)
    assert await mailbox(broker) == [left.message_id]


async def test_while_the_broker_is_away_ticks_are_decided_and_none_is_lost(
    store: Store, broker: Broker, rabbit: Rabbit
) -> None:
    async with emitting(store, broker, schedule("1s", overlap="queue")):
        await has(store, lambda found: found.get("sent", 0) >= 1)
        with rabbit.stopped():
            await has(store, lambda found: found.get("sending", 0) >= 1)
        await has(store, lambda found: found.get("sent", 0) >= 5)
    assert set(await mailbox(broker)) >= await sent(store)
