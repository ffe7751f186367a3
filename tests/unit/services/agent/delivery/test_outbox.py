from __future__ import annotations

import asyncio

from services.agent.delivery.outbox import Outbox
from shared.store import Store
from shared.store.messages.outbox import adopt
from shared.store.processes.heartbeats import remove
from tests.support.processes.instances import instance
from tests.support.stores.steps import ended, owned


async def test_a_message_that_cannot_be_sent_is_left_to_another_instance(store: Store) -> None:
    own = instance(store)
    async with asyncio.timeout(5), asyncio.TaskGroup() as jobs:
        outbox = Outbox(own, jobs)
        outbox.send(await ended(store, await owned(store)))
        await asyncio.sleep(0)  # there is no broker: it waits for one
        outbox.stop()
    await outbox.idle()
    await store.write("", lambda db: remove(db, own.id))
    left = await store.write("", lambda db: adopt(db, "alice", "alice.2", set(), set()))
    assert [message.routing_key for message in left] == ["reply.asker"]
