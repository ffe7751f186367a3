from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from shared.contract.messages import Response, Status, encode, response_id
from shared.errors import RunLost
from shared.store import Store, open_store
from shared.store.messages.outbox import Outbound, remove_sent
from shared.store.messages.requesters import Requester
from shared.store.runs.claim import Claim, ClaimResult, Request
from shared.store.runs.end import RunEnd, refuse
from shared.store.runs.run import Run
from shared.store.runs.takeover import hand_over, set_state
from shared.store.schema import RunState, requesters, runs
from tests.support.stores.sessions import asking, begun
from tests.support.stores.steps import ASKER, DONE, claimed, ended, owned, request, taken

OTHER = Requester("reply.other", "c2")


async def state_of(store: Store, run_id: str) -> tuple[str, str | None]:
    query = select(runs.c.state, runs.c.owner).where(runs.c.run_id == run_id)
    row = await store.read(lambda db: db.execute(query).one())
    return row.state, row.owner


async def test_a_claim_with_a_slot_is_this_instances_run(store: Store) -> None:
    claim = await claimed(store, request(deadline_at=None, timeout_s=600))
    run = claim.run
    assert claim.result is ClaimResult.CLAIMED
    assert isinstance(run, Run)
    assert (run.task_id, run.fence, run.attempts, run.epoch) == ("t1", 1, 0, 1)
    assert (run.message, run.definition) == (
        '{"content": "hello"}',
        '{"definition": {"name": "alice"}}',
    )
    assert run.deadline_at - run.claimed_at == pytest.approx(600, abs=1)
    assert await state_of(store, run.run_id) == ("running", "alice.1")


async def test_each_run_has_a_nonce_of_its_own_that_it_keeps(store: Store) -> None:
    first, second = await owned(store, "t1"), await owned(store, "t2")
    assert len({first.nonce, second.nonce, ""}) == 3
    assert first.nonce not in repr(first)
    again = {run.run_id: run.nonce for run in await taken(store, dead={"alice.1"})}
    assert again == {first.run_id: first.nonce, second.run_id: second.nonce}


async def test_a_claim_without_a_slot_is_due_for_any_replica(store: Store) -> None:
    claim = await claimed(store, request(), slot=False)
    assert (claim.result, claim.run) == (ClaimResult.CLAIMED, None)
    assert await state_of(store, request().run_id) == ("due", None)
    assert [run.task_id for run in await taken(store)] == ["t1"]


@pytest.mark.parametrize("deadline_at", [0.0, 1e9])
async def test_an_earlier_deadline_of_the_request_holds(store: Store, deadline_at: float) -> None:
    run = (await claimed(store, request(deadline_at=deadline_at))).run
    assert run is not None
    assert run.deadline_at == deadline_at


async def test_a_later_deadline_of_the_request_gives_no_more_time(store: Store) -> None:
    run = (await claimed(store, request(deadline_at=9e9, timeout_s=5))).run
    assert run is not None
    assert run.deadline_at - run.claimed_at == pytest.approx(5, abs=1)


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.WAITING])
async def test_a_duplicate_joins_an_open_run(store: Store, state: RunState) -> None:
    run = await owned(store)
    await store.write(run.run_id, lambda db: set_state(db, run, state))
    claim = await claimed(store, request(requester=OTHER), "alice.2")
    assert (claim.result, claim.run, claim.outbound) == (ClaimResult.JOINED, None, ())
    answers = await ended(store, run)
    assert {message.routing_key for message in answers} == {"reply.asker", "reply.other"}


async def test_a_duplicate_joins_a_run_that_is_due(store: Store) -> None:
    await claimed(store, request(), slot=False)
    claim = await claimed(store, request(requester=OTHER))
    assert (claim.result, claim.run) == (ClaimResult.JOINED, None)
    (run,) = await taken(store)
    assert len(await ended(store, run, instance="alice.2")) == 2


async def test_a_duplicate_of_an_ended_run_gets_its_stored_response(store: Store) -> None:
    await ended(store, await owned(store), DONE)
    claim = await claimed(store, request(requester=OTHER), "alice.2")
    (answer,) = claim.outbound
    assert claim.result is ClaimResult.ANSWERED
    assert (answer.routing_key, answer.correlation_id, answer.body) == (
        *vars(OTHER).values(),
        DONE,
    )
    assert answer.message_id == f"{request().run_id}.response"


async def test_a_duplicate_without_a_reply_queue_gets_no_response(store: Store) -> None:
    await ended(store, await owned(store))
    claim = await claimed(store, request(requester=None))
    assert (claim.result, claim.outbound) == (ClaimResult.ANSWERED, ())


async def test_a_known_id_with_other_content_is_a_conflict_and_writes_nothing(store: Store) -> None:
    await owned(store)
    claim = await claimed(store, request(content="other", requester=OTHER))
    assert (claim.result, claim.run, claim.outbound) == (ClaimResult.CONFLICT, None, ())
    wanted = await store.read(lambda db: db.execute(select(requesters.c.reply_to)).scalars().all())
    assert wanted == [ASKER.reply_to]


async def test_a_claim_repeated_after_an_unknown_commit_runs_it(store: Store) -> None:
    first = await claimed(store, request())
    again = await claimed(store, request())
    assert again.result is ClaimResult.JOINED
    assert again.run == first.run


async def test_the_same_requester_twice_is_answered_once(store: Store) -> None:
    run = await owned(store)
    await claimed(store, request())
    assert len(await ended(store, run)) == 1


async def test_a_run_without_a_requester_ends_without_an_answer(store: Store) -> None:
    run = (await claimed(store, request(requester=None))).run
    assert run is not None
    assert await ended(store, run) == ()


async def test_an_end_commits_answers_before_the_broadcast(store: Store) -> None:
    messages = await ended(store, await owned(store), broadcast_to="office")
    assert [message.exchange for message in messages] == ["hutch.replies", "hutch.swarm.office"]
    assert messages[0].seq < messages[1].seq


async def test_an_end_repeated_after_an_unknown_commit_returns_the_unsent_messages(
    store: Store,
) -> None:
    run = await owned(store)
    first = await ended(store, run, broadcast_to="office")
    assert await ended(store, run, broadcast_to="office") == first
    await store.write(run.run_id, lambda db: remove_sent(db, [first[0].seq]))
    assert await ended(store, run, broadcast_to="office") == first[1:]


@pytest.mark.essential
async def test_joins_that_race_the_end_are_each_answered_once(store: Store, store_url: str) -> None:
    run = await owned(store)
    askers = [Requester(f"reply.{number}", "c") for number in range(40)]
    async with open_store(store_url) as second:
        joins = [
            claimed(second if number % 2 else store, request(requester=asker), f"alice.{number}")
            for number, asker in enumerate(askers)
        ]
        ending = [ended(store, run)]
        claims, (answers,) = await asyncio.gather(asyncio.gather(*joins), asyncio.gather(*ending))
    late = [message for claim in claims for message in claim.outbound]
    answered = sorted(message.routing_key for message in (*answers, *late))
    assert answered == sorted(asker.reply_to for asker in (ASKER, *askers))


async def test_a_zombies_marks_ends_and_hand_overs_are_lost_and_write_nothing(store: Store) -> None:
    zombie = await owned(store)
    (run,) = await taken(store, "alice.2", {"alice.1"})
    for late in (
        store.write(zombie.run_id, lambda db: set_state(db, zombie, RunState.WAITING)),
        store.write(zombie.run_id, lambda db: hand_over(db, zombie)),
        ended(store, zombie, '"late"'),
    ):
        with pytest.raises(RunLost, match="goes on elsewhere"):
            await late
    assert await state_of(store, run.run_id) == ("running", "alice.2")
    (answer,) = await ended(store, run, '"right"', instance="alice.2")
    assert answer.body == '"right"'


async def test_a_zombies_end_after_the_run_has_ended_is_lost(store: Store) -> None:
    zombie = await owned(store)
    (run,) = await taken(store, "alice.2", {"alice.1"})
    await ended(store, run, instance="alice.2")
    with pytest.raises(RunLost):
        await ended(store, zombie)


async def test_an_end_of_a_run_that_was_removed_is_lost(store: Store) -> None:
    run = await owned(store)
    with pytest.raises(RunLost):
        await ended(store, replace(run, run_id="gone"))


@pytest.mark.essential
async def test_many_claims_of_one_id_make_one_run(store: Store, store_url: str) -> None:
    async with open_store(store_url) as second:
        claims = await asyncio.gather(
            *(claimed((store, second)[n % 2], request(), f"alice.{n}") for n in range(20))
        )
    assert [claim.result for claim in claims].count(ClaimResult.CLAIMED) == 1
    assert sum(claim.run is not None for claim in claims) == 1


def test_a_message_to_a_reply_queue_carries_its_correlation_id() -> None:
    assert Outbound.answer("r", 1, "reply.x", "", "b").correlation_id is None
    assert Outbound.answer("r", 1, "reply.x", "c", "b").correlation_id == "c"


def _refused(run: Run) -> RunEnd:
    response = Response(task_id=run.task_id, agent="alice", status=Status.REFUSED, content="no")
    return RunEnd("refused", response_id(run.run_id), encode(response).decode())


async def refused(store: Store, asked: Request) -> Claim:
    return await store.write(asked.key, lambda db: refuse(db, asked, "alice.1", _refused))


async def test_a_refused_task_ends_as_it_is_claimed_and_is_answered_the_same_again(
    store: Store,
) -> None:
    first = await refused(store, request())
    assert (first.result, first.run) == (ClaimResult.CLAIMED, None)
    again = await claimed(store, request(requester=OTHER))
    assert again.result is ClaimResult.ANSWERED
    assert {it.body for it in again.outbound} == {it.body for it in first.outbound}
    assert await state_of(store, request().run_id) == ("ended", None)


async def test_a_known_task_is_not_refused(store: Store) -> None:
    run = await owned(store)
    assert (await refused(store, request(requester=OTHER))).result is ClaimResult.JOINED
    assert {it.routing_key for it in await ended(store, run)} == {"reply.asker", "reply.other"}
    assert (await refused(store, request())).outbound[0].body == DONE
    assert (await refused(store, request(content="other"))).result is ClaimResult.CONFLICT


async def test_a_refused_task_does_not_wait_for_its_session(store: Store) -> None:
    await begun(store, "t1")
    assert (await refused(store, asking("t2"))).outbound[0].routing_key == "reply.asker"


async def test_a_run_of_an_earlier_version_is_known_by_the_hash_that_it_holds(
    store: Store,
) -> None:
    old, new = request(content="hash of 0.1.0"), request(content="hash of today")
    await owned(store)
    hold = update(runs).values(content_hash=old.content_hash)
    await store.write("", lambda db: db.execute(hold.values(nonce="")))
    asked = replace(new, earlier_hash=old.content_hash)
    assert (await claimed(store, asked)).result is ClaimResult.JOINED
    assert (await claimed(store, new)).result is ClaimResult.CONFLICT
    await store.write("", lambda db: db.execute(hold.values(nonce="drawn")))
    assert (await claimed(store, asked)).result is ClaimResult.CONFLICT, "today's hold today's hash"
