import asyncio
import random
import re
import socket
from typing import Any, cast

import aio_pika
import pytest

from shared.broker.connection import QueueDepth, connect
from shared.broker.link import Link
from shared.broker.publisher import Outgoing
from shared.contract import topology
from shared.contract.entities import Topology
from shared.contract.messages import Event
from shared.errors import BrokerError, BrokerUnavailable, SettingsError
from tests.support.brokers.rabbitmq import Rabbit
from tests.support.brokers.waiting import free_port, lose_connections, until
from tests.support.network.proxy import address, proxy

WHOLE = (
    topology.system()
    + topology.mailbox("alice")
    + topology.swarm("office", "alice")
    + topology.replies("alice", "i1")
    + topology.control("alice", "i1")
    + topology.store_mark("alice", "store-a", "i1")
)
REPLICA = topology.control("alice", "i2") + topology.store_mark("alice", "store-b", "i2")


DECLARE_CLASSIC = """
  rabbit_amqqueue:declare(
    rabbit_misc:r(<<"{vhost}">>, queue, <<"dead">>), true, false, [], none, <<"test">>), ok."""

QUEUE_PROCESS = """
  {{ok, Queue}} = rabbit_amqqueue:lookup(
    rabbit_misc:r(<<"{vhost}">>, queue, <<"agent.alice">>)),
  ra:{do}_server(quorum_queues, amqqueue:get_pid(Queue))."""


async def test_the_whole_topology_may_be_declared_twice(rabbit: Rabbit) -> None:
    async with connect(rabbit.url, "test") as broker:
        await broker.declare(WHOLE)
        await broker.declare(WHOLE)
        assert await broker.depth("agent.alice") == QueueDepth(0, 0)


async def test_a_connection_that_the_broker_closes_while_it_is_opened_is_opened_again(
    rabbit: Rabbit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aio-pika takes it for open then: the patched function stands for a loss just before."""
    opened, losses = aio_pika.Connection._on_connected, iter([1, 2])

    async def opened_too_late(connection: aio_pika.Connection) -> None:
        if next(losses, None) and connection.transport:
            lost = asyncio.Event()
            connection.close_callbacks.add(lambda *_: lost.set())
            await connection.transport.connection.close()
            await lost.wait()
        await opened(connection)

    async with connect(rabbit.url, "test") as broker:
        await broker.declare(topology.system() + topology.mailbox("bob"))
        monkeypatch.setattr(aio_pika.Connection, "_on_connected", opened_too_late)
        await lose_connections(rabbit, broker)
        await broker.publisher.publish(Outgoing(topology.TASKS, "bob", b"{}", "t1"), timeout_s=5)
    assert next(losses, None) is None


async def test_a_queue_that_does_not_exist_has_no_depth(rabbit: Rabbit) -> None:
    async with connect(rabbit.url, "test") as broker:
        assert await broker.depth("agent.nobody") is None


async def test_a_replica_with_another_store_is_refused_while_the_first_lives(
    rabbit: Rabbit,
) -> None:
    async with connect(rabbit.url, "second") as second:
        async with connect(rabbit.url, "first") as first:
            await first.declare(WHOLE)
            with pytest.raises(BrokerError, match="another replica of 'alice' runs with another"):
                await second.declare(REPLICA)
        await second.declare(REPLICA)


async def test_a_queue_declared_differently_is_refused_and_affects_no_later_declaration(
    rabbit: Rabbit,
) -> None:
    other = Topology(queues=(topology.quorum("agent.bob", delivery_limit=3),))
    async with connect(rabbit.url, "test") as broker:
        await broker.declare(other)
        with pytest.raises(BrokerError, match=r"'agent\.bob' exists with another 'x-.*delete it"):
            await broker.declare(topology.mailbox("bob"))
        await broker.declare(WHOLE)


async def test_the_error_for_a_user_without_the_permission_says_so(rabbit: Rabbit) -> None:
    rabbit.ctl("set_permissions", "-p", rabbit.vhost, "guest", "^$", ".*", ".*")
    async with connect(rabbit.url, "test") as broker:
        with pytest.raises(BrokerError, match=r"'hutch\.unrouted', and its user 'guest' may not"):
            await broker.declare(topology.system())


@pytest.mark.essential
async def test_closed_connections_come_back_with_all_that_was_declared(rabbit: Rabbit) -> None:
    async with connect(rabbit.url, "test") as broker:
        await broker.declare(WHOLE)
        await lose_connections(rabbit, broker)
        assert "control.i1" in rabbit.ctl("list_queues", "-p", rabbit.vhost, "name")
        assert "hutch.store.alice" in rabbit.ctl("list_exchanges", "-p", rabbit.vhost, "name")
        bindings = rabbit.ctl("list_bindings", "-p", rabbit.vhost, "destination_name")
        assert len(re.findall(r"^control\.i1$", bindings, re.MULTILINE)) == 5


async def test_one_answering_address_of_a_host_is_enough(
    rabbit: Rabbit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster's nodes share one name; of these three one refuses, one takes and says nothing."""
    refuses, silent, answers = "127.0.0.3", "127.0.0.2", "127.0.0.1"
    loop = asyncio.get_running_loop()
    resolve = loop.getaddrinfo

    async def named(_: str, port: int, **how: Any) -> list[Any]:
        return [it for ip in (refuses, silent, answers) for it in await resolve(ip, port, **how)]

    monkeypatch.setattr(loop, "getaddrinfo", named)
    monkeypatch.setattr(random, "shuffle", lambda them: them.sort(reverse=True))  # the worst order
    with proxy(address(rabbit.url)) as network, socket.create_server((silent, network.port)):
        link = Link(network.url(rabbit.url), "test")
        await link.open(wait_s=0)
        assert (await link.connection()).connected.is_set()
        await link.close()


async def test_a_wrong_password_is_refused_at_once_and_not_shown(rabbit: Rabbit) -> None:
    url = rabbit.url.replace("guest:guest", "guest:secret")
    with pytest.raises(BrokerError, match="refused the user 'guest'") as refused:
        async with connect(url, "test", wait_s=60):
            pass
    assert "secret" not in str(refused.value)
    assert not isinstance(refused.value, BrokerUnavailable)


async def test_a_vhost_that_does_not_exist_is_named(rabbit: Rabbit) -> None:
    with pytest.raises(BrokerError, match="has no vhost 'nowhere' for the user 'guest'"):
        async with connect(rabbit.url.replace(rabbit.vhost, "nowhere"), "test", wait_s=60):
            pass


async def test_a_vhost_that_is_closed_to_the_user_is_named(rabbit: Rabbit) -> None:
    rabbit.ctl("clear_permissions", "-p", rabbit.vhost, "guest")
    with pytest.raises(BrokerError, match=f"has no vhost '{rabbit.vhost}' for the user"):
        async with connect(rabbit.url, "test"):
            pass


async def test_a_port_without_a_broker_is_named() -> None:
    port = free_port()
    with pytest.raises(BrokerUnavailable, match=rf"no broker can be reached at localhost:{port}"):
        async with connect(f"amqp://guest:secret@localhost:{port}/", "test"):
            pass


async def test_an_address_that_is_none_is_refused_without_showing_it() -> None:
    with pytest.raises(SettingsError, match="write amqp://") as refused:
        async with connect("http://guest:secret@localhost/", "test"):
            pass
    assert "secret" not in str(refused.value)


async def test_a_job_of_the_connection_that_fails_ends_what_uses_it(rabbit: Rabbit) -> None:
    async def use() -> None:
        async with asyncio.timeout(10), connect(rabbit.url, "test") as broker:
            broker.publisher.announce(cast(Event, None))
            await asyncio.Event().wait()

    with pytest.raises(AttributeError):
        await use()


async def test_a_queue_that_another_connection_still_has_is_waited_for(rabbit: Rabbit) -> None:
    """As after a reconnect, while the broker still considers the lost connection alive."""
    async with connect(rabbit.url, "test", wait_s=30) as broker:
        async with connect(rabbit.url, "before") as before:
            await before.declare(WHOLE)
            declaring = asyncio.create_task(broker.declare(WHOLE))
            with pytest.raises(BrokerUnavailable, match="another connection still has it"):
                async with connect(rabbit.url, "impatient") as impatient:
                    await impatient.declare(WHOLE)
            assert not declaring.done()
        await declaring


async def test_an_exchange_that_has_gone_before_it_is_bound_is_waited_for(rabbit: Rabbit) -> None:
    """As when an agent's last replica ends while another one starts."""

    def unmade(instance: str) -> Topology:
        bindings = topology.store_mark("alice", "store-a", instance).bindings
        return topology.control("alice", instance) + Topology(bindings=bindings)

    async with connect(rabbit.url, "other") as other:
        await other.declare(topology.system())
        async with connect(rabbit.url, "test", wait_s=30) as broker:
            declaring = asyncio.create_task(broker.declare(unmade("i1")))
            with pytest.raises(BrokerUnavailable, match=r"no exchange 'hutch\.store\.alice'"):
                await other.declare(unmade("i2"))
            assert not declaring.done()
            await other.declare(REPLICA)
            await declaring


async def test_another_kind_of_queue_is_refused_without_waiting(rabbit: Rabbit) -> None:
    rabbit.ctl("eval", DECLARE_CLASSIC.format(vhost=rabbit.vhost))
    async with asyncio.timeout(30), connect(rabbit.url, "test", wait_s=60) as broker:
        with pytest.raises(BrokerError, match="the queue 'dead' exists with another"):
            await broker.declare(topology.system())


async def test_a_queue_whose_process_is_down_is_consumed_when_it_is_back(rabbit: Rabbit) -> None:
    async with connect(rabbit.url, "test", wait_s=30) as broker:
        await broker.declare(topology.system() + topology.mailbox("alice"))
        rabbit.ctl("eval", QUEUE_PROCESS.format(vhost=rabbit.vhost, do="stop"))
        consumer = await broker.consumer("agent.alice")
        await consumer.start(1)
        assert not consumer.consuming
        await asyncio.to_thread(
            rabbit.ctl, "eval", QUEUE_PROCESS.format(vhost=rabbit.vhost, do="restart")
        )
        await until(lambda: consumer.consuming)
