import re

import pytest

from shared.contract import topology
from shared.contract.entities import Topology
from shared.contract.reply_queues import REPLY_QUEUE

LONGEST = "a" * 40
INSTANCE = "i" * 40

ALL = (
    topology.system()
    + topology.mailbox(LONGEST)
    + topology.swarm(LONGEST, LONGEST)
    + topology.replies(LONGEST, INSTANCE)
    + topology.control(LONGEST, INSTANCE)
    + topology.store_mark(LONGEST, "s" * 64, INSTANCE)
)


def test_every_name_can_be_carried_by_the_protocol() -> None:
    names = [exchange.name for exchange in ALL.exchanges] + [queue.name for queue in ALL.queues]
    assert all(len(name) <= 255 and re.fullmatch(r"[a-z.-]+", name) for name in names)


def test_every_binding_joins_what_is_declared() -> None:
    exchanges = {exchange.name for exchange in ALL.exchanges}
    queues = {queue.name for queue in ALL.queues}
    assert {binding.exchange for binding in ALL.bindings} <= exchanges
    assert {binding.queue for binding in ALL.bindings} == queues


def test_every_dead_letter_and_alternate_exchange_exists_but_the_store_mark() -> None:
    exchanges = {exchange.name for exchange in ALL.exchanges}
    named = {str(queue.arguments.get("x-dead-letter-exchange", "")) for queue in ALL.queues}
    named |= {str(exchange.arguments.get("alternate-exchange", "")) for exchange in ALL.exchanges}
    assert named - exchanges - {""} == {"hutch.store.id." + "s" * 64}


def test_a_queue_that_others_share_is_durable() -> None:
    """RabbitMQ 4.3 refuses transient queues that are not exclusive."""
    assert all(queue.durable or queue.exclusive for queue in ALL.queues)


def test_a_reply_queue_may_be_named_in_reply_to_and_a_mailbox_may_not() -> None:
    assert REPLY_QUEUE.match(topology.reply_queue_name("alice", "i1"))
    assert not REPLY_QUEUE.match(topology.mailbox_name("alice"))


@pytest.mark.parametrize("key", ["shutdown.bob", "shutdown.all", "cancel.bob"])
def test_a_process_receives_the_commands_addressed_to_it(key: str) -> None:
    keys = [binding.routing_key for binding in topology.control("bob", "i1").bindings]
    assert key in keys


def test_topologies_add_up_in_order() -> None:
    assert Topology() + topology.mailbox("bob") == topology.mailbox("bob")
    assert ALL.exchanges[: len(topology.system().exchanges)] == topology.system().exchanges
