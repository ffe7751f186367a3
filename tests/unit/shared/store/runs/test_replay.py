"""A run that was given up goes on in its next epoch."""

from __future__ import annotations

from functools import partial

import pytest

from shared.contract.messages import Response, Status, encode
from shared.contract.rows import response_of
from shared.errors import HutchError, RunLost
from shared.store import Store
from shared.store.messages.outbox import Outbound
from shared.store.runs import cancels
from shared.store.runs.end import RunEnd, end
from shared.store.runs.replay import InDoubtDecision, Replayed, definition_of, replay
from shared.store.runs.run import Run
from shared.store.runs.steps import Step, resumed, write_step
from shared.store.runs.tool_starts import Start, write_start
from tests.support.stores.steps import ASKER, claimed, counted, owned, request, taken

MODEL = Step(1, 0, "model", "turn", '{"content": "hm"}')
PAY, MAIL = Start(1, 1, "pay", "{}"), Start(1, 2, "mail", "{}")
HOUR_S = 3600.0
AGAIN, PAID = InDoubtDecision(None), InDoubtDecision("paid ✓")


async def failed(store: Store, run: Run, status: str = "failed") -> tuple[Outbound, ...]:
    response = Response(task_id=run.task_id, agent="alice", status=Status(status), content="")
    ending = RunEnd(status, "m", encode(response).decode(), "why")
    return await store.write(run.run_id, partial(end, run=run, ending=ending, instance="alice.1"))


async def given_up(store: Store, *starts: Start) -> Run:
    """A run with one finished step, and these calls cut off."""
    run = await owned(store)
    await store.write(run.run_id, partial(write_step, run=run, step=MODEL))
    for start in starts:
        await store.write(run.run_id, partial(write_start, run=run, start=start))
    await failed(store, run)
    return run


async def replayed(
    store: Store,
    run: Run,
    decision: InDoubtDecision | None = None,
    *,
    epoch: int = 1,
    time_s: float = 60,
) -> Replayed:
    return await store.write(run.run_id, lambda db: replay(db, run.run_id, epoch, time_s, decision))


async def test_a_run_continues_in_the_next_epoch_with_its_steps(store: Store) -> None:
    first = await given_up(store)
    assert await replayed(store, first) is Replayed.AGAIN
    assert (await counted(store)).takeable == 1
    (run,) = await taken(store)
    assert (run.epoch, run.attempts, run.failures) == (2, 0, 0)
    assert run.claimed_at == first.claimed_at
    found = await store.read(lambda db: resumed(db, run))
    assert (found.steps, found.doubtful) == ([MODEL], [])


async def test_a_cancel_from_before_a_replay_does_not_cancel_the_new_epoch(store: Store) -> None:
    run = await owned(store)
    await store.write(run.run_id, lambda db: cancels.request(db, "alice", "t1"))
    await failed(store, run)
    await replayed(store, run)
    (again,) = await taken(store)
    assert not again.cancelled


async def test_its_new_response_goes_to_every_waiting_requester_under_an_id_of_its_own(
    store: Store,
) -> None:
    await replayed(store, await given_up(store))
    joined = await claimed(store, request(requester=None))
    assert joined.outbound == ()
    (run,) = await taken(store)
    (answer,) = await failed(store, run, "ok")
    assert (answer.routing_key, answer.correlation_id) == (ASKER.reply_to, ASKER.correlation_id)
    assert answer.message_id == f"{run.run_id}.2.response"
    assert response_of(answer.body).status is Status.OK
    (stored,) = (await claimed(store, request())).outbound
    assert (stored.message_id, stored.body) == (answer.message_id, answer.body)


async def test_replayed_twice_it_is_replayed_once(store: Store) -> None:
    run = await given_up(store)
    assert await replayed(store, run) is Replayed.AGAIN
    assert await replayed(store, run) is Replayed.EARLIER
    (again,) = await taken(store)
    assert again.epoch == 2
    await failed(store, again)
    assert await replayed(store, run) is Replayed.EARLIER
    assert await replayed(store, again, epoch=2) is Replayed.AGAIN


async def test_a_zombie_of_the_epoch_before_writes_nothing(store: Store) -> None:
    zombie = await given_up(store)
    await replayed(store, zombie)
    with pytest.raises(RunLost):
        await store.write("", lambda db: write_step(db, zombie, Step(2, 0, "model", "turn", "{}")))
    with pytest.raises(RunLost):
        await failed(store, zombie)


async def test_a_replayed_run_gets_a_new_deadline_that_is_never_earlier_than_the_old_one(
    store: Store,
) -> None:
    run = await given_up(store)
    await replayed(store, run, time_s=HOUR_S)
    (again,) = await taken(store)
    assert again.deadline_at == pytest.approx(run.claimed_at + HOUR_S, abs=60)
    await failed(store, again)
    await replayed(store, again, epoch=2, time_s=1)
    (last,) = await taken(store)
    assert last.deadline_at == again.deadline_at


@pytest.mark.parametrize("status", ["ok", "partial", "timeout", "refused"])
async def test_a_run_that_did_not_fail_is_not_replayed(store: Store, status: str) -> None:
    run = await owned(store)
    await failed(store, run, status)
    with pytest.raises(HutchError, match=f"has ended {status}: there is nothing to replay"):
        await replayed(store, run)
    assert await taken(store) == []


async def test_an_open_run_is_not_replayed(store: Store) -> None:
    run = await owned(store)
    with pytest.raises(HutchError, match="hasn't ended yet"):
        await replayed(store, run)


async def test_replaying_a_forgotten_run_is_reported_as_forgotten(store: Store) -> None:
    run = await given_up(store)
    assert (
        await store.read(lambda db: definition_of(db, run.run_id))
        == '{"definition": {"name": "alice"}}'
    )
    assert await store.read(lambda db: definition_of(db, "gone")) is None
    gone = await store.write("", lambda db: replay(db, "gone", 1, 60, None))
    assert gone is Replayed.FORGOTTEN


async def test_a_call_in_doubt_needs_a_decision(store: Store) -> None:
    run = await given_up(store, PAY)
    with pytest.raises(HutchError, match=r"called pay.* add --tool-done RESULT .* or --tool-again"):
        await replayed(store, run)
    assert await taken(store) == []


async def test_a_result_for_a_run_that_is_not_in_doubt_is_refused(store: Store) -> None:
    run = await given_up(store)
    with pytest.raises(HutchError, match="in no doubt of a tool"):
        await replayed(store, run, PAID)
    assert await replayed(store, run, AGAIN) is Replayed.AGAIN


async def test_the_operators_result_is_the_calls(store: Store) -> None:
    run = await given_up(store, PAY)
    await replayed(store, run, PAID)
    found = await store.read(lambda db: resumed(db, run))
    assert found.doubtful == []
    assert found.steps == [MODEL, Step(1, 1, "tool", "pay", '{"content":"paid ✓"}')]


async def test_a_call_may_be_made_once_more_and_be_in_doubt_again(store: Store) -> None:
    await replayed(store, await given_up(store, PAY), AGAIN)
    (run,) = await taken(store)
    assert (await store.read(lambda db: resumed(db, run))).doubtful == []
    await store.write(run.run_id, partial(write_start, run=run, start=PAY))
    assert (await store.read(lambda db: resumed(db, run))).doubtful == [PAY]


@pytest.mark.parametrize("decision", [AGAIN, PAID])
async def test_each_call_in_doubt_needs_a_decision_of_its_own(
    store: Store, decision: InDoubtDecision
) -> None:
    await replayed(store, await given_up(store, MAIL, PAY), decision)
    (run,) = await taken(store)
    assert (await store.read(lambda db: resumed(db, run))).doubtful == [MAIL]
