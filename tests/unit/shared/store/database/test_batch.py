"""Groups whose operations go different ways; on PostgreSQL they share their round trips."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import MissingGreenlet
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from shared.errors import RunLost
from shared.store import Store
from shared.store.database.batch import DEFERRED, run_together
from shared.store.database.engine import parse
from shared.store.database.migrate import migrate
from shared.store.messages.requesters import Requester
from shared.store.processes import heartbeats
from shared.store.runs.claim import ClaimResult
from shared.store.runs.run import Run
from shared.store.runs.takeover import set_state
from shared.store.schema import RunState
from tests.support.stores.steps import claimed, counted, ended, owned, request, taken


async def test_each_operation_of_a_mixed_group_gets_its_own_result(store: Store) -> None:
    zombie = await owned(store, "lost")
    await taken(store, "alice.2", {"alice.1"})
    ending, known = await owned(store, "ending"), await owned(store, "known")
    in_session = replace(request("session"), session="s", takes_turns=True)
    repeated = request("known", requester=Requester("reply.other", "c2"))
    new, joined, conflict, turn, answers, lost = await asyncio.gather(
        claimed(store, request("new")),
        claimed(store, repeated),
        claimed(store, request("known", content="other")),
        claimed(store, in_session),
        ended(store, ending),
        ended(store, zombie),
        return_exceptions=True,
    )
    assert not isinstance(new, BaseException)
    assert not isinstance(turn, BaseException)
    assert not isinstance(answers, BaseException)
    assert new.run is not None
    assert (new.result, new.run.task_id) == (ClaimResult.CLAIMED, "new")
    assert turn.run is not None
    assert (turn.result, turn.run.session) == (ClaimResult.CLAIMED, "s")
    assert [getattr(it, "result", None) for it in (joined, conflict)] == [
        ClaimResult.JOINED,
        ClaimResult.CONFLICT,
    ]
    assert [it.run_id for it in answers] == [ending.run_id]
    assert isinstance(lost, RunLost)
    to = sorted(it.correlation_id or "" for it in await ended(store, known))
    assert to == ["c1", "c2"]


async def test_many_ends_at_once_each_answer_their_own_requesters(store: Store) -> None:
    runs = [await owned(store, f"t{number}") for number in range(10)]
    await asyncio.gather(
        *(
            claimed(store, request(run.task_id, requester=Requester("reply.b", run.task_id)))
            for run in runs[::2]
        )
    )
    answers = await asyncio.gather(*(ended(store, run) for run in runs))
    for number, (run, messages) in enumerate(zip(runs, answers, strict=True)):
        assert {it.run_id for it in messages} == {run.run_id}
        asked = {it.correlation_id for it in messages}
        assert asked == ({"c1", run.task_id} if number % 2 == 0 else {"c1"})


async def test_any_statement_may_follow_a_write_in_a_group(store: Store) -> None:
    first, second = await owned(store, "t1"), await owned(store, "t2")

    def postpone(connection: Connection, run: Run) -> str:
        set_state(connection, run, RunState.DUE)
        return str(connection.execute(text("SELECT 'any'")).scalar_one())

    def end_wait(connection: Connection) -> None:
        set_state(connection, second, RunState.DUE)

    said, _ = await asyncio.gather(
        store.write(first.run_id, lambda db: postpone(db, first)),
        store.write(second.run_id, end_wait),
    )
    assert said == "any"
    assert (await counted(store)).due == 2


@pytest.fixture
async def connection(postgresql_url: str) -> AsyncIterator[AsyncConnection]:
    await migrate(postgresql_url)
    engine = create_async_engine(parse(postgresql_url), isolation_level="AUTOCOMMIT")
    async with engine.connect() as opened:
        yield opened
    await engine.dispose()


def execute_unprepared(connection: Connection) -> object:
    return connection.execute(text("SELECT 1")).scalar_one()


def write(connection: Connection) -> None:
    heartbeats.record(connection, "alice.1", "alice")


def write_then_execute_unprepared(connection: Connection) -> None:
    write(connection)
    execute_unprepared(connection)


@pytest.mark.container
async def test_only_the_operation_with_an_unprepared_statement_is_deferred(
    connection: AsyncConnection,
) -> None:
    """SQLAlchemy's adapter refuses such a statement in a greenlet that is not its own."""
    done = await run_together(connection, [write, execute_unprepared, write])
    assert done == [None, DEFERRED, None]
    assert await connection.run_sync(execute_unprepared) == 1


@pytest.mark.container
async def test_an_unprepared_statement_after_a_write_fails_the_group(
    connection: AsyncConnection,
) -> None:
    with pytest.raises(MissingGreenlet):
        await run_together(connection, [write, write_then_execute_unprepared])
