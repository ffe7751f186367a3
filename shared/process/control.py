"""Control messages, shutdowns and cancels, which a process receives ahead of any backlog."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from shared.broker.consumer import Consumer, Delivery
from shared.concurrency.fault_boundary import is_own_cancellation
from shared.contract.access import OPERATOR, agent_user, objection
from shared.contract.messages import Cancel, Shutdown, decode
from shared.errors import BadMessage
from shared.process.stopping import Stopping

log = structlog.get_logger()

PREFETCH = 10
"""Control messages are few and are handled at once."""


async def handle_commands(
    consumer: Consumer, stopping: Stopping, cancel: Callable[[str], None] | None = None
) -> None:
    """Request the end of the process for each shutdown, and call `cancel` with a cancel's task id.

    Other messages are logged and dropped, as are cancels without a `cancel` function and commands
    of a user who may not give them. None becomes a dead letter: its replay would come from the
    operator, and be executed.
    """
    await consumer.start(PREFETCH)
    async for delivery in consumer:
        try:
            _handle(delivery, stopping, cancel)
        except BadMessage as error:
            log.warning("control message not understood", error=str(error))
        except BaseException as error:
            if is_own_cancellation(error):
                raise
            log.exception("control message failed")
        await delivery.ack()


def _handle(delivery: Delivery, stopping: Stopping, cancel: Callable[[str], None] | None) -> None:
    message = decode(delivery.body, delivery.content_type)
    expected_user = agent_user(message.sender or "") if isinstance(message, Cancel) else OPERATOR
    if reason := objection(delivery.received_as, delivery.user_id, expected_user):
        log.warning("command refused", type=message.type, reason=reason)
    elif isinstance(message, Shutdown):
        log.info("shutdown requested", mode=message.mode)
        stopping.ask(message.mode)
    elif isinstance(message, Cancel) and cancel is not None:
        log.info("cancel requested", task=message.task_id)
        cancel(message.task_id)
    else:
        log.warning("not a control message", type=message.type)
