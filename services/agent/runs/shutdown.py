"""The end of a process after SIGTERM or a shutdown command (`shared/process/stopping.py`): a drain
lets its open runs finish, a stop hands them over."""

from __future__ import annotations

import asyncio

import structlog

from services.agent.delivery.outbox import Outbox
from services.agent.runs.admission import Admission
from services.agent.runs.models.pause import Pause
from services.agent.runs.open_runs import OpenRuns
from shared.concurrency.first import first_of
from shared.process.runtime import STOP_S, Process

log = structlog.get_logger()

CALLS_BEGIN = 0.5
"""The part of a drain in which model calls may still begin. The rest is for calls in progress: a
run that needs another call then is handed over, so that no call is interrupted and paid for twice.
"""


async def shut_down(
    process: Process, admission: Admission, pause: Pause, runs: OpenRuns, outbox: Outbox
) -> None:
    """Admit no new runs, let open ones finish while time allows, and hand over the rest.

    `Process` turns a drain that takes too long into a stop. Returns when the responses are sent, or
    after half of a stop's time; another instance then sends the others.
    """
    admission.close()

    async def ended(timeout_s: float | None = None) -> None:
        stopped = process.stopping.wait("stop")
        await first_of(admission.idle.wait(), stopped, timeout_s=timeout_s)

    await ended(process.settings.drain_s * CALLS_BEGIN)
    pause.ending = True
    await ended()
    await runs.hand_over()
    try:
        async with asyncio.timeout(STOP_S / 2):
            await outbox.idle()
    except TimeoutError:
        log.warning("responses left in the outbox: another instance sends them")
        outbox.stop()
