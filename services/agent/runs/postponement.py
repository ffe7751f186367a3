"""A run whose model is away: put off without a slot, and given up when that doesn't help."""

from __future__ import annotations

import random
from functools import partial

import structlog

from services.agent.delivery.refusals import Refusals
from services.agent.instance import Instance
from services.agent.loop.work import Outcome
from services.agent.runs.store_journal import StoredJournal
from shared.contract.messages import Status
from shared.errors import ModelUnavailable
from shared.store.runs.run import Run
from shared.store.runs.takeover import postpone

MOST_FAILURES = 8
"""Times in a row that a run is put off: about a quarter of an hour, if its deadline allows."""

FIRST_PAUSE_S = 5.0
"""A call's own retries have taken some seconds already; doubled for each further failure."""

LONGEST_PAUSE_S = 300.0

LONGEST_ASKED_S = 3600.0
"""What an endpoint asks for is believed up to here."""

log = structlog.get_logger()


async def put_off_or_give_up(
    instance: Instance, refusal: Refusals, run: Run, journal: StoredJournal, error: ModelUnavailable
) -> Outcome | None:
    """None: the run is put off; else how it ends, its message among the dead letters.

    Raises `RunLost`, and `BrokerError` while its message can't be dead-lettered.
    """
    failures = journal.failures + 1
    if failures > MOST_FAILURES:
        reason = f"put off {MOST_FAILURES} times in a row, and then: {error}"
        return await give_up(refusal, run, journal, reason, f"given up: {error.public}")
    wait_s = pause_s(failures, error.wait_s)
    later = partial(postpone, run=run, failures=failures, wait_s=wait_s, detail=str(error))
    await instance.store.write(run.run_id, later)
    instance.metrics.runs_put_off.inc()
    seconds = round(wait_s, 1)
    instance.announce("run.put_off", run, failures=failures, seconds=seconds, reason=error.reason)
    log.warning("run put off", seconds=seconds, failures=failures, reason=str(error))
    return None


async def give_up(
    refusal: Refusals, run: Run, journal: StoredJournal, reason: str, content: str
) -> Outcome:
    """How a run ends whose message is now among the dead letters.

    Raises `BrokerError` while it can't be dead-lettered.
    """
    await refusal.give_up(run, reason)
    usage = journal.usage()
    return Outcome(status=Status.FAILED, content=content, detail=reason, usage=usage)


def pause_s(failures: int, asked_s: float | None = None) -> float:
    """Until the next try, by chance: runs that failed together don't come back together.

    Never before an endpoint wants to be asked again.
    """
    backoff_s = min(FIRST_PAUSE_S * 2.0 ** (failures - 1), LONGEST_PAUSE_S)
    asked_s = min(asked_s or 0.0, LONGEST_ASKED_S)
    return max(backoff_s * random.uniform(0.5, 1.0), asked_s * random.uniform(1.0, 1.25))
