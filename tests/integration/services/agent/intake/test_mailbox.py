"""Messages in a mailbox: good, repeated, bad, lost."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import aio_pika
import pytest

from shared.contract.messages import MAX_BODY_BYTES
from shared.store.database.migrate import migrate
from tests.support.brokers.rabbitmq import Server, vhost
from tests.support.client import Client, client
from tests.support.processes import running
from tests.support.processes.fixtures import Asked, forget
from tests.support.processes.running import System

pytestmark = pytest.mark.essential

BAD = [
    (b'{"content": ', "the body is not JSON"),
    (b'{"type": "dance"}', "type: 'dance' is unknown; known: task, response, trigger, shutdown"),
    (b'{"content": "x", "schema": 9}', "task.schema: expected 1"),
    (b"\xff\xfe\xfa", "the body is not UTF-8"),
    (b'{"type": "shutdown"}', "a mailbox takes tasks and triggers, not a shutdown"),
    (b" " * (MAX_BODY_BYTES + 1), "at most 1048576 are taken"),
]


@pytest.fixture(scope="module")
def bobs_system(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One Bob for all the tests here: none of them may harm him."""
    with (
        vhost(server) as rabbit,
        running.system(rabbit.url, tmp_path_factory.mktemp("bob")) as system,
    ):
        asyncio.run(migrate(system.env["HUTCH_STORE"]))
        system.model()
        system.agents("bob")
        yield system


@pytest.fixture
def system(bobs_system: System) -> System:
    forget(bobs_system)
    return bobs_system


@pytest.fixture
def pika(system: System) -> Iterator[Client]:
    with client(system.env["RABBITMQ_URL"]) as client_:
        client_.channel.queue_purge("dead")  # of what other tests have left there
        yield client_


@pytest.mark.parametrize("body", [b'{"content": "Write."}', b"Write."])
def test_the_smallest_message_starts_an_agent(pika: Client, body: bytes) -> None:
    reply = pika.ask("bob", body)
    assert reply.status == "ok"
    assert reply.body["task_id"]


def test_a_message_id_stands_in_for_an_id(pika: Client) -> None:
    assert pika.ask("bob", b"Write.", message_id="mine").body["task_id"] == "mine"


def test_direct_reply_to_gets_its_response(pika: Client) -> None:
    received: list[bytes] = []
    queue = "amq.rabbitmq.reply-to"
    pika.channel.basic_consume(queue, lambda *it: received.append(it[3]), auto_ack=True)
    pika.send("bob", "Write.", reply_to=queue)
    while not received:
        pika.channel.connection.process_data_events(time_limit=60)
    assert json.loads(received[0])["status"] == "ok"


def test_a_reply_queue_of_a_clients_own_needs_no_binding(pika: Client) -> None:
    pika.channel.queue_declare("reply.mine", exclusive=True)
    pika.send("bob", "Write.", reply_to="reply.mine")
    _, body = pika.taken("reply.mine")
    assert json.loads(body)["status"] == "ok"


def test_a_repeated_task_gets_the_stored_response(pika: Client, asked: Asked) -> None:
    task = {"content": "Write.", "id": uuid4().hex}
    first, second = pika.ask("bob", task), pika.ask("bob", task)
    assert first.body == second.body
    assert first.message_id == second.message_id
    assert len(asked()) == 1


def test_a_repeated_task_joins_the_open_run(pika: Client, asked: Asked) -> None:
    task = {"content": "[[latency 1]]Write.", "id": uuid4().hex}
    calls = {pika.send("bob", task) for _ in range(5)}
    replies = pika.replies(5)
    assert {reply.correlation_id for reply in replies} == calls
    assert {reply.message_id for reply in replies} == {replies[0].message_id}
    assert len(asked()) == 1


def test_an_id_that_was_used_for_other_content_is_refused(pika: Client) -> None:
    task = {"content": "Write.", "id": uuid4().hex}
    pika.ask("bob", task)
    reply = pika.ask("bob", task | {"content": "Write more."})
    assert reply.status == "refused"
    said = f"the id '{task['id']}' was used for another task; draw a new one"
    assert reply.content == said
    headers, _ = pika.taken("dead")
    assert headers["x-hutch-reason"] == said


@pytest.mark.parametrize(("body", "reason"), BAD)
def test_bad_input_is_answered_and_kept_with_its_reason(
    pika: Client, body: bytes, reason: str
) -> None:
    reply = pika.ask("bob", body)
    assert reply.status == "refused"
    assert reason in reply.content
    headers, kept = pika.taken("dead")
    assert kept == body
    assert reason in headers["x-hutch-reason"]
    assert headers["x-hutch-queue"] == "agent.bob"
    assert pika.ask("bob", "Write.").status == "ok"


@pytest.mark.parametrize("call", ["Grüße, 你好 \U0001f600", "é" * 127, "two\nlines\t"])
def test_a_correlation_id_in_any_script_comes_back_as_it_was(pika: Client, call: str) -> None:
    pika.send("bob", "Write.", correlation_id=call)
    reply = pika.reply()
    assert (reply.status, reply.correlation_id) == ("ok", call)


def test_a_correlation_id_that_no_store_can_keep_is_refused(pika: Client) -> None:
    pika.send("bob", "Write.", correlation_id="a\0b")
    reply = pika.reply()
    assert (reply.status, reply.correlation_id) == ("refused", "a\0b")
    assert "correlation_id: it is not UTF-8 or has a NUL in it" in reply.content


@pytest.mark.parametrize("agent", ["bob", "alcie"])
def test_a_task_that_the_broker_may_drop_is_refused_when_it_comes(
    pika: Client, agent: str, asked: Asked
) -> None:
    reply = pika.ask(agent, "Write.", expiration="60000")
    assert reply.status == "refused"
    assert reply.content.startswith("expiration: the broker may drop such a task unanswered")
    assert asked() == []


async def test_aio_pikas_robust_client_is_answered_in_its_anonymous_queue(system: System) -> None:
    connection = await aio_pika.connect_robust(system.env["RABBITMQ_URL"])
    async with connection, asyncio.timeout(60):
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        task = aio_pika.Message(b"Write.", reply_to=queue.name, correlation_id="c-1")
        exchange = await channel.get_exchange("hutch.tasks")
        await exchange.publish(task, "bob")
        async with queue.iterator() as answers:
            answer = await anext(answers)
            await answer.ack()
    assert json.loads(answer.body)["status"] == "ok"
    assert (answer.correlation_id, queue.name[:4]) == ("c-1", "amq_")


def test_no_client_makes_an_agent_publish_into_a_mailbox(pika: Client) -> None:
    pika.send("bob", "Write.", reply_to="agent.bob")
    headers, _ = pika.taken("dead")
    assert "'agent.bob' is no reply queue" in headers["x-hutch-reason"]


def test_a_task_to_an_unknown_agent_is_refused_with_the_known_ones(pika: Client) -> None:
    reply = pika.ask("alcie", "Hello?")
    assert reply.status == "refused"
    assert reply.content.startswith("no agent 'alcie'; known: alice, bob")


def test_a_task_past_its_deadline_is_answered_not_run(pika: Client, asked: Asked) -> None:
    reply = pika.ask("bob", {"content": "x", "id": uuid4().hex, "deadline": "2026-01-01T00:00:00Z"})
    assert reply.status == "timeout"
    assert asked() == []


def test_a_deadline_ends_a_run(pika: Client) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    reply = pika.ask("bob", {"content": "[[latency 30]]x", "id": uuid4().hex, "deadline": soon})
    assert reply.status == "timeout"


def test_a_trigger_wakes_an_agent(pika: Client, asked: Asked) -> None:
    assert pika.ask("bob", {"type": "trigger", "id": uuid4().hex}).status == "ok"
    assert "You have been woken up" in asked()[0]["messages"][-1]["content"]
