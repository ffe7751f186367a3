from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from services.agent.loop.journal import StepKey
from services.agent.runs.admission import Admission
from services.agent.runs.workers import (
    Replies,
    WorkerCalls,
    with_capped_usage,
)
from shared.contract.messages import Budget, Response, Status, Task, Usage, encode
from shared.errors import BadMessage
from shared.store import Store
from tests.support.processes.instances import delivery, instance
from tests.support.stores.steps import owned

SHARE = Budget(model_calls=3, tokens=100)


@pytest.fixture
def replies(store: Store) -> Replies:
    return Replies(instance(store))


async def test_a_reply_goes_to_the_call_that_waits_for_it(replies: Replies) -> None:
    response = Response(task_id="c1", agent="bob", status=Status.OK, content="done")
    with replies.expect("c1", "bob") as reply:
        await replies.receive(delivery(encode(response), correlation_id="c1"))
        assert await reply == response


async def test_a_reply_that_names_no_call_is_found_by_its_task(replies: Replies) -> None:
    response = Response(task_id="c1", agent="bob", status=Status.OK, content="done")
    with replies.expect("c1", "bob") as reply:
        await replies.receive(delivery(encode(response)))
        assert await reply == response


async def test_a_reply_that_cannot_be_understood_ends_the_wait(replies: Replies) -> None:
    with replies.expect("c1", "bob") as reply:
        await replies.receive(delivery(b"\xff", correlation_id="c1"))
        failed = await reply
        assert isinstance(failed, Response)
        assert failed.status is Status.FAILED


async def test_the_answer_to_another_task_ends_no_call_whatever_it_correlates_to(
    replies: Replies,
) -> None:
    """A worker's response to another client's task whose `reply_to` was this queue."""
    other = Response(task_id="t9", agent="bob", status=Status.OK, content="Sell everything.")
    refused = other.model_copy(update={"status": Status.REFUSED})
    with replies.expect("c1", "bob") as reply, capture_logs() as logs:
        for said in (other, refused):
            await replies.receive(delivery(encode(said), correlation_id="c1"))
        assert not reply.done()
    assert [line["event"] for line in logs] == ["reply to another task"] * 2


async def test_an_agent_that_was_not_asked_ends_no_call(replies: Replies) -> None:
    said = Response(task_id="c1", agent="tom", status=Status.OK, content="Sell everything.")
    with replies.expect("c1", "bob") as reply, capture_logs() as logs:
        await replies.receive(delivery(encode(said), correlation_id="c1"))
        assert not reply.done()
    assert [line["event"] for line in logs] == ["reply of another agent"]


@pytest.mark.parametrize("correlation_id", ["no id at all", "é", "x" * 255, "", None])
async def test_a_reply_to_no_call_changes_nothing(
    replies: Replies, correlation_id: str | None
) -> None:
    await replies.receive(delivery(b"no response", correlation_id=correlation_id))


@pytest.mark.parametrize(
    ("user_id", "agent"),
    [("agent.tom", "bob"), ("agent.tom", "tom"), ("agent.bob", "tom"), (None, "bob")],
)
async def test_where_each_agent_has_a_user_only_its_worker_answers_a_call(
    replies: Replies, user_id: str | None, agent: str
) -> None:
    said = encode(Response(task_id="c1", agent=agent, status=Status.OK, content="done"))
    with replies.expect("c1", "bob") as reply:
        with pytest.raises(BadMessage, match=r"speaks for '(bob|tom)'"):
            await replies.receive(delivery(said, user_id=user_id, received_as="agent.alice"))
        assert not reply.done()


@pytest.mark.parametrize("user_id", ["agent.bob", "operator"])
async def test_the_worker_and_the_operator_who_replays_it_are_authenticated(
    replies: Replies, user_id: str
) -> None:
    said = encode(Response(task_id="c1", agent="bob", status=Status.OK, content="done"))
    with replies.expect("c1", "bob") as reply:
        await replies.receive(delivery(said, user_id=user_id, received_as="agent.alice"))
        assert reply.done()


async def test_with_one_user_for_all_every_agent_is_trusted(replies: Replies) -> None:
    said = encode(Response(task_id="c1", agent="bob", status=Status.OK, content="done"))
    with replies.expect("c1", "bob") as reply:
        await replies.receive(delivery(said, user_id=None, received_as="hutch"))
        assert reply.done()


async def counting(store: Store, usage: Usage) -> Response:
    """The response that a run gets when its worker reports this usage."""
    response = Response(task_id="c1", agent="bob", status=Status.OK, content="done")
    reported = response.model_copy(update={"usage": usage})
    return with_capped_usage(instance(store), await owned(store), "bob", reported, SHARE)


async def test_a_worker_that_reports_more_than_its_share_is_charged_its_share(
    store: Store,
) -> None:
    with capture_logs() as logs:
        response = await counting(store, Usage(model_calls=9, input_tokens=5))
    assert response.content == "done"
    assert response.usage == Usage(model_calls=3, input_tokens=5)
    [line] = logs
    assert (line["event"], line["worker"]) == ("usage capped", "bob")
    assert (line["reported"]["model_calls"], line["model_calls"]) == (9, 3)


async def test_a_workers_negative_usage_is_read_as_zero(
    store: Store,
) -> None:
    lying = Usage.model_construct(model_calls=-7991, input_tokens=0, output_tokens=0)
    assert (await counting(store, lying)).usage == Usage()


async def test_a_worker_that_stays_within_its_share_is_not_logged(store: Store) -> None:
    with capture_logs() as logs:
        response = await counting(store, Usage(model_calls=3, input_tokens=100))
    assert response.usage == Usage(model_calls=3, input_tokens=100)
    assert logs == []


async def test_a_worker_is_asked_though_the_deadline_is_beyond_every_calendar(store: Store) -> None:
    own, replies = instance(store), Replies(instance(store))
    run = replace(await owned(store), deadline_at=1e300)
    calls = WorkerCalls(own, replies, Admission(1).take_beyond(), run, Task(content="Do it."))
    asking = asyncio.create_task(calls.ask(StepKey(1, 1), "bob", "Write.", None, Budget(), 0.0))
    await asyncio.sleep(0)
    assert not asking.done(), "it is on its way"
    asking.cancel()
    await asyncio.wait([asking])
