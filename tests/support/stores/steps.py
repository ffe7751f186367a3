"""Steps shared by the store's tests: a request, a claim, a takeover, an end."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from functools import partial

from sqlalchemy import select

from shared.contract.messages import Response, Status, encode, run_id
from shared.store import Store
from shared.store.messages.outbox import Outbound
from shared.store.messages.requesters import Requester
from shared.store.queries.poll import Counts, Poll, poll
from shared.store.runs.claim import Claim, Request, claim
from shared.store.runs.end import RunEnd, end
from shared.store.runs.run import Run
from shared.store.runs.takeover import take
from shared.store.schema import now_s

DEFINITION = "d" * 32
ASKER = Requester("reply.asker", "c1")
DONE = encode(Response(task_id="t1", agent="alice", status=Status.OK, content="done")).decode()


def request(
    task_id: str = "t1",
    *,
    content: str = "hello",
    requester: Requester | None = ASKER,
    timeout_s: float = 600,
    deadline_at: float | None = None,
    with_notes: bool = False,
) -> Request:
    return Request(
        run_id=run_id("alice", task_id),
        agent="alice",
        task_id=task_id,
        kind="task",
        content_hash=content,
        message=f'{{"content": "{content}"}}',
        definition=DEFINITION,
        root_id=task_id,
        parent_id=None,
        timeout_s=timeout_s,
        deadline_at=deadline_at,
        requester=requester,
        with_notes=with_notes,
    )


async def claimed(
    store: Store, asked: Request, instance: str = "alice.1", *, slot: bool = True
) -> Claim:
    return await store.write(asked.key, lambda db: claim(db, asked, instance, slot=slot))


async def owned(store: Store, task_id: str = "t1", instance: str = "alice.1") -> Run:
    """A fresh run that an instance computes."""
    run = (await claimed(store, request(task_id), instance)).run
    assert run is not None
    return run


async def taken(
    store: Store,
    instance: str = "alice.2",
    dead: set[str] | None = None,
    limit: int = 10,
    *,
    suspects: bool = False,
) -> list[Run]:
    return await store.write(
        "", lambda db: take(db, "alice", instance, dead or set(), limit, {}, suspects=suspects)
    )


async def ended(
    store: Store,
    run: Run,
    response: str = DONE,
    *,
    instance: str = "alice.1",
    broadcast_to: str | None = None,
) -> tuple[Outbound, ...]:
    ending = RunEnd("ok", f"{run.run_id}.response", response, None, broadcast_to)
    return await store.write(run.run_id, partial(end, run=run, ending=ending, instance=instance))


async def seen(store: Store, agent: str = "alice", dead: Collection[str] = ()) -> Poll:
    """A poll by the first instance of an agent."""
    return await store.read(partial(poll, agent=agent, instance=f"{agent}.1", dead=dead))


async def counted(store: Store, dead: Collection[str] = ()) -> Counts:
    return (await seen(store, dead=dead)).counts


async def a_moment_later(store: Store) -> None:
    """SQLite's clock counts milliseconds: what happens within one of them has no order."""
    before = await _now(store)
    while await _now(store) <= before:  # noqa: ASYNC110 - a clock sets no event
        await asyncio.sleep(0.0005)


async def _now(store: Store) -> float:
    return await store.read(lambda db: db.execute(select(now_s())).scalar_one())


async def until_away(store: Store) -> None:
    async with asyncio.timeout(20):
        while store.available:  # noqa: ASYNC110 - the store sets no event
            await asyncio.sleep(0.01)
