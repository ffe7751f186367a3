import asyncio
import inspect

import pytest
from aiormq import exceptions as amqp
from aiormq.abc import DeliveredMessage
from pamqp import exceptions as frames
from pamqp.commands import Basic
from pamqp.header import ContentHeader
from yarl import URL

from shared.broker.errors import FOREIGN, broker_error, broker_request, connection_error
from shared.errors import BrokerError, BrokerUnavailable, HutchError, Undeliverable

ADDRESS = URL("amqp://alice:secret@broker:5672/here")
RETURNED = Basic.Return(312, "NO_ROUTE", "hutch.tasks", "nobody")


def made(kind: type[BaseException]) -> BaseException:
    if issubclass(kind, amqp.DeliveryError):
        returned = DeliveredMessage(RETURNED, ContentHeader(), b"", None)  # type: ignore[arg-type]  # no channel is needed to build one
        return kind(returned, RETURNED)
    if kind is asyncio.IncompleteReadError:
        return kind(b"", 8)
    return kind("said by", "the broker")


def raised_by(module: object) -> list[type[BaseException]]:
    kinds = [kind for _, kind in inspect.getmembers(module, inspect.isclass)]
    return [kind for kind in kinds if issubclass(kind, BaseException)]


OTHERS = [TimeoutError, ConnectionResetError, OSError, EOFError, RuntimeError, ValueError]
ALL = [*raised_by(amqp), *raised_by(frames), asyncio.IncompleteReadError, *OTHERS]


@pytest.mark.parametrize("kind", ALL)
async def test_no_foreign_error_escapes(kind: type[BaseException]) -> None:
    error = made(kind)
    assert isinstance(error, FOREIGN)
    with pytest.raises(BrokerError) as ours:
        async with broker_request("declare the queue 'dead'"):
            raise error
    assert "declare the queue 'dead'" in str(ours.value)
    assert ours.value.__cause__ is error


@pytest.mark.parametrize("kind", ALL)
def test_a_first_connection_fails_without_showing_the_password(kind: type[BaseException]) -> None:
    sentence = str(connection_error(made(kind), ADDRESS))
    assert "broker:5672" in sentence
    assert "secret" not in sentence


async def test_a_question_without_an_answer_ends_in_time() -> None:
    with pytest.raises(BrokerUnavailable, match="did not answer in time to ping"):
        async with broker_request("ping", timeout_s=0.01):
            await asyncio.Event().wait()


async def test_a_cancellation_that_the_client_invents_is_a_lost_connection() -> None:
    with pytest.raises(BrokerUnavailable, match="was lost"):
        async with broker_request("ping"):
            raise asyncio.CancelledError


async def test_a_real_cancellation_stays_one() -> None:
    async def work() -> None:
        async with broker_request("ping", timeout_s=None):
            await asyncio.Event().wait()

    job = asyncio.create_task(work())
    await asyncio.sleep(0)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job


@pytest.mark.parametrize("said", [None, ConnectionResetError()])
async def test_a_cancellation_ends_the_job_even_if_the_reply_arrives_at_the_same_moment(
    said: Exception | None,
) -> None:
    reply = asyncio.get_running_loop().create_future()

    async def work() -> None:
        async with broker_request("ping"):
            await asyncio.wait_for(reply, timeout=60)

    job = asyncio.create_task(work())
    await asyncio.sleep(0)
    reply.set_exception(said) if said else reply.set_result(None)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job


async def test_our_own_errors_pass_unchanged() -> None:
    error = HutchError("as it is")
    with pytest.raises(HutchError) as passed:
        async with broker_request("ping"):
            raise error
    assert passed.value is error


def test_a_returned_message_is_undeliverable() -> None:
    assert isinstance(broker_error(made(amqp.PublishError), "publish"), Undeliverable)


def test_a_difference_names_the_entity_and_both_values() -> None:
    said = (
        "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'swarm.bob' "
        "in vhost '/': received the value '5' of type 'signedint' but current is none"
    )
    sentence = str(broker_error(amqp.ChannelPreconditionFailed(said), "declare"))
    assert "the queue 'swarm.bob' exists with another 'x-max-length'" in sentence
    assert "there none" in sentence


@pytest.mark.parametrize(
    "error",
    [
        amqp.ChannelNotFoundEntity(
            "NOT_FOUND - queue 'agent.bob' in vhost '/' process is stopped by supervisor"
        ),
        amqp.ChannelNotFoundEntity(
            "NOT_FOUND - home node 'rabbit@a' of durable queue 'dead' in vhost '/' is down or "
            "inaccessible"
        ),
        amqp.ChannelNotFoundEntity(
            "NOT_FOUND - failed to perform operation on queue 'dead' in vhost '/' due to timeout"
        ),
        amqp.ChannelLockedResource(
            "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'control.i1'"
        ),
        amqp.ConnectionInternalError(541, "INTERNAL_ERROR"),
    ],
)
def test_an_error_that_may_pass_is_unavailable(error: Exception) -> None:
    assert isinstance(broker_error(error, "declare"), BrokerUnavailable)


@pytest.mark.parametrize(
    "error",
    [
        amqp.ChannelNotFoundEntity("NOT_FOUND - no queue 'agent.bob' in vhost '/'"),
        amqp.ChannelPreconditionFailed("PRECONDITION_FAILED - invalid arg 'x-max-length'"),
        amqp.ChannelAccessRefused("ACCESS_REFUSED - configure access to queue 'dead' refused"),
    ],
)
def test_an_error_that_will_not_pass_is_not_unavailable(error: Exception) -> None:
    assert not isinstance(broker_error(error, "declare"), BrokerUnavailable)
