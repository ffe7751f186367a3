"""Cancelling a task: a row, so that it can't be lost, then a message, so that it is fast."""

from __future__ import annotations

from functools import partial

from shared.broker.connection import Broker
from shared.client.ask import publish
from shared.contract import topology
from shared.contract.messages import Cancel, run_id
from shared.errors import Undeliverable
from shared.store import Store
from shared.store.runs import cancels


async def write_cancel(store: Store, agent: str, task_id: str) -> bool:
    """Write the cancel of a task, which its agent obeys even if it has not arrived yet.

    False: its run has ended, and nothing is written.
    """
    request = partial(cancels.request, agent=agent, task_id=task_id)
    return await store.write(run_id(agent, task_id), request)


async def publish_cancel(broker: Broker, agent: str, message: Cancel) -> bool:
    """Publish a cancel to the agent's processes; False when there is none.

    Only processes that run now receive it; others read the row. Raises `BrokerError`.
    """
    try:
        await publish(broker, topology.CONTROL, topology.cancel_key(agent), message)
    except Undeliverable:
        return False
    return True
