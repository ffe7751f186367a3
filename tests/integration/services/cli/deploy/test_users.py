"""Each broker user can do what its role allows and nothing else, on both brokers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker

from tests.support.brokers.divided import Divided, divide
from tests.support.brokers.rabbitmq import Server, vhost
from tests.support.processes.running import until

Act = Callable[[BlockingChannel], object]
REPLIES, CONTROL = "reply.{0}.{0}.0123abcd", "control.{0}.0123abcd"
REFUSED, IMPOSTOR = 403, 406


@pytest.fixture(scope="module")
def divided(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Divided]:
    with vhost(server) as rabbit:
        yield divide(rabbit, tmp_path_factory.mktemp("users"))


def read(queue: str) -> Act:
    return lambda channel: channel.basic_get(queue)


def publish(exchange: str, key: str, user_id: str | None = None) -> Act:
    properties = pika.BasicProperties(user_id=user_id)
    return lambda channel: channel.basic_publish(exchange, key, b"{}", properties)


def make(queue: str) -> Act:
    return lambda channel: channel.queue_declare(queue, exclusive=True)


def bound(queue: str, exchange: str, key: str) -> Act:
    def act(channel: BlockingChannel) -> None:
        channel.queue_declare(queue, exclusive=True)
        channel.queue_bind(queue, exchange, key)

    return act


def marked(agent: str) -> Act:
    arguments = {"alternate-exchange": "hutch.store.id.0123-abcd"}
    return lambda channel: channel.exchange_declare(
        f"hutch.store.{agent}", "direct", auto_delete=True, arguments=arguments
    )


def deleted(queue: str) -> Act:
    return lambda channel: channel.queue_delete(queue)


def exchange_made(name: str) -> Act:
    return lambda channel: channel.exchange_declare(name, "direct", durable=True)


def found(queue: str) -> Act:
    return lambda channel: channel.queue_declare(queue, passive=True)


def asked_directly(channel: BlockingChannel) -> None:
    answers = "amq.rabbitmq.reply-to"
    channel.basic_consume(answers, lambda *_: None, auto_ack=True)
    channel.basic_publish("hutch.tasks", "bob", b"{}", pika.BasicProperties(reply_to=answers))


def received_in_a_queue_of_its_own(channel: BlockingChannel) -> None:
    channel.basic_get(channel.queue_declare("", exclusive=True).method.queue)


MUST = {
    "agent.bob": [
        read("agent.bob"),
        read("unrouted"),
        bound(REPLIES.format("bob"), "hutch.replies", REPLIES.format("bob")),
        bound(CONTROL.format("bob"), "hutch.control", "cancel.bob"),
        bound(CONTROL.format("bob"), "hutch.control", "shutdown.all"),
        marked("bob"),
        publish("hutch.replies", REPLIES.format("alice"), "agent.bob"),
        publish("hutch.dead", "agent.bob", "agent.bob"),
        publish("hutch.events", "bob.run.ended", "agent.bob"),
        publish("hutch.stream", "any.root", "agent.bob"),
        found("agent.alice"),
    ],
    "agent.alice": [
        publish("hutch.tasks", "bob", "agent.alice"),
        publish("hutch.control", "cancel.bob", "agent.alice"),
        publish("", "amq.gen-nowhere", "agent.alice"),
    ],
    "agent.tom": [read("swarm.tom"), publish("hutch.swarm.research", "", "agent.tom")],
    "scheduler": [
        publish("hutch.tasks", "alice", "scheduler"),
        bound(CONTROL.format("scheduler"), "hutch.control", "shutdown.scheduler"),
        marked("alice"),
    ],
    "operator": [
        read("dead"),
        publish("hutch.tasks", "bob", "operator"),
        publish("hutch.swarm.research", "", "operator"),
        publish("hutch.control", "shutdown.all", "operator"),
        publish("hutch.control", "cancel.bob", "operator"),
        publish("", "swarm.tom", "operator"),
        bound("reply.cli.0123456789ab", "hutch.replies", "reply.cli.0123456789ab"),
        bound("events.cli.0123456789ab", "hutch.events", "#"),
        bound("stream.cli.0123456789ab", "hutch.stream", "any.root"),
    ],
    "client": [publish("hutch.tasks", "bob"), asked_directly, received_in_a_queue_of_its_own],
    "scaler": [found("agent.bob")],
}

MUST_NOT = {
    "agent.bob": [
        read("agent.alice"),
        read("swarm.tom"),
        read("dead"),
        read("events"),
        make("mine"),
        make(REPLIES.format("alice")),
        make(CONTROL.format("alice")),
        deleted("agent.bob"),
        exchange_made("hutch.mine"),
        marked("alice"),
        bound(CONTROL.format("bob"), "hutch.control", "cancel.alice"),
        bound(CONTROL.format("bob"), "hutch.control", "#"),
        bound(REPLIES.format("bob"), "hutch.tasks", "alice"),
        bound(REPLIES.format("bob"), "hutch.events", "#"),
        bound(REPLIES.format("bob"), "hutch.stream", "#"),
        bound(REPLIES.format("bob"), "hutch.swarm.research", ""),
        publish("hutch.tasks", "alice"),
        publish("hutch.swarm.research", ""),
        publish("hutch.control", "cancel.alice"),
        publish("hutch.control", "shutdown.bob"),
        publish("hutch.dead", "agent.alice"),
        publish("hutch.events", "alice.run.ended"),
        publish("", "agent.alice"),
    ],
    "agent.alice": [
        publish("hutch.control", "shutdown.bob"),
        publish("hutch.control", "shutdown.all"),
        publish("hutch.control", "cancel.tom"),
        publish("hutch.swarm.research", ""),
    ],
    "agent.tom": [publish("hutch.tasks", "bob"), read("swarm.richard")],
    "scheduler": [
        read("agent.alice"),
        publish("hutch.control", "shutdown.all"),
        publish("hutch.replies", "any"),
        publish("hutch.dead", "any"),
        publish("", "agent.bob"),
    ],
    "operator": [read("agent.bob"), read("unrouted"), deleted("agent.bob"), make("mine")],
    "client": [
        read("agent.bob"),
        read("dead"),
        make("mine"),
        bound(REPLIES.format("bob"), "hutch.replies", "any"),
        publish("hutch.replies", "any"),
        publish("hutch.control", "shutdown.all"),
        publish("hutch.swarm.research", ""),
        publish("", "agent.bob"),
    ],
    "scaler": [read("agent.bob"), make("mine"), publish("hutch.tasks", "bob")],
}


@pytest.mark.essential
@pytest.mark.parametrize("user", MUST)
def test_each_user_may_do_everything_that_its_role_needs(divided: Divided, user: str) -> None:
    for act in MUST[user]:
        with divided.channel(user) as channel:
            act(channel)


@pytest.mark.essential
@pytest.mark.parametrize("user", MUST_NOT)
def test_no_user_may_do_anything_else(divided: Divided, user: str) -> None:
    for number, act in enumerate(MUST_NOT[user]):
        with divided.channel(user) as channel:
            with pytest.raises(ChannelClosedByBroker) as refused:
                act(channel)
            assert refused.value.reply_code == REFUSED, (number, refused.value)


@pytest.mark.parametrize("user", ["agent.bob", "agent.alice", "scheduler", "operator", "client"])
def test_no_user_may_publish_as_another(divided: Divided, user: str) -> None:
    exchange = "hutch.replies" if user == "agent.bob" else "hutch.tasks"
    with divided.channel(user) as channel:
        with pytest.raises(ChannelClosedByBroker) as refused:
            publish(exchange, "bob", "agent.tom")(channel)
        assert refused.value.reply_code == IMPOSTOR


def test_the_admin_has_no_way_into_the_vhost(divided: Divided) -> None:
    with pytest.raises(AMQPConnectionError, match="access to vhost"), divided.channel("admin"):
        pass


def test_a_user_has_a_limit_of_connections_and_of_channels(divided: Divided) -> None:
    ctl = divided.rabbit.ctl
    assert '"max-connections":200' in ctl("list_user_limits", "--user", "agent.bob")
    until(lambda: "scaler" not in ctl("list_connections", "user"))  # those of other tests
    ctl("set_user_limits", "scaler", '{"max-connections": 1, "max-channels": 1}')
    with divided.channel("scaler") as channel:
        with pytest.raises(AMQPConnectionError, match="limit"), divided.channel("scaler"):
            pass
        with pytest.raises(AMQPConnectionError, match="limit"):
            channel.connection.channel()


def test_a_foreign_programs_queue_and_a_swarms_have_a_limit_by_policy(divided: Divided) -> None:
    with divided.channel("client") as channel:
        channel.queue_declare("", exclusive=True)
        listed = divided.rabbit.ctl("list_queues", "-p", divided.rabbit.vhost, "name", "policy")
    policies = {queue.partition("\t")[::2] for queue in listed.splitlines()}
    assert ("swarm.tom", "hutch-swarm") in policies
    assert [policy for name, policy in policies if name.startswith("amq.")] == ["hutch-clients"]
