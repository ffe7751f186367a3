from __future__ import annotations

from shared.broker.connection import Broker
from shared.broker.publisher import Outgoing
from shared.contract.topology import DEAD

BROWSES = 60
"""RabbitMQ 4 drops what was delivered more than 20 times from a queue that sets no limit."""


async def bury(broker: Broker, *names: str) -> None:
    for name in names:
        await broker.publisher.publish(Outgoing(DEAD, "agent.bob", b"{}", name))


async def seen(broker: Broker) -> list[str | None]:
    async with broker.browse("dead") as held:
        return [delivery.message_id for delivery in held]


async def test_browsed_messages_stay_in_their_order_however_often(broker: Broker) -> None:
    await bury(broker, "a", "b", "c")
    for _ in range(BROWSES):
        assert await seen(broker) == ["a", "b", "c"]


async def test_acked_messages_are_gone_and_the_others_keep_their_order(broker: Broker) -> None:
    await bury(broker, "a", "b", "c", "d")
    async with broker.browse("dead") as held:
        await held[1].ack()
        await bury(broker, "e")
    assert await seen(broker) == ["a", "c", "d", "e"]


async def test_an_error_while_browsing_removes_no_message(broker: Broker) -> None:
    await bury(broker, "a", "b")
    try:
        async with broker.browse("dead") as held:
            assert len(held) == 2
            raise KeyError("a fault")
    except KeyError:
        assert await seen(broker) == ["a", "b"]


async def test_an_empty_queue_has_nothing(broker: Broker) -> None:
    assert await seen(broker) == []
