"""Postponement: a run whose model is unavailable, or whose model's shared limit is used up, is due
later, and holds no slot until then."""

from __future__ import annotations

import random
from functools import partial

import structlog

from services.agent.instance import Instance
from services.agent.runs.store_journal import StoredJournal
from shared.errors import LimitReached, ModelUnavailable
from shared.store.runs import takeover
from shared.store.runs.run import Run

MOST_FAILURES = 8
"""The most postponements in a row: about a quarter of an hour, if the run's deadline allows."""

FIRST_BACKOFF_S = 5.0
"""Doubled after each further failure. The call itself was retried for some seconds before."""

LONGEST_BACKOFF_S = 300.0

LONGEST_ASKED_S = 3600.0
"""The longest wait that an endpoint can ask for; a longer one is cut to this."""

log = structlog.get_logger()


async def postpone(
    instance: Instance, run: Run, journal: StoredJournal, error: ModelUnavailable
) -> bool:
    """Make the run due later; False if it has been postponed `MOST_FAILURES` times in a row.

    Raises `RunLost` and the store's errors.
    """
    failures = journal.failures + 1
    if failures > MOST_FAILURES:
        return False
    wait_s = backoff_s(failures, error.wait_s)
    later = partial(takeover.postpone, run=run, failures=failures, wait_s=wait_s, detail=str(error))
    await instance.store.write(run.run_id, later)
    instance.metrics.runs_postponed.inc()
    seconds = round(wait_s, 1)
    instance.announce("run.put_off", run, failures=failures, seconds=seconds, reason=error.reason)
    log.warning("run postponed", seconds=seconds, failures=failures, reason=str(error))
    return True


async def postpone_for_limit(
    instance: Instance, run: Run, journal: StoredJournal, reached: LimitReached
) -> None:
    """Make the run due when it is its turn at a shared limit: this is no failure.

    Raises `RunLost` and the store's errors.
    """
    later = partial(
        takeover.postpone,
        run=run,
        failures=journal.failures,
        wait_s=reached.wait_s,
        detail=str(reached),
    )
    await instance.store.write(run.run_id, later)
    seconds = round(reached.wait_s, 1)
    instance.announce("run.limited", run, seconds=seconds)
    log.info("run postponed", seconds=seconds, reason=str(reached))


def backoff_s(failures: int, asked_s: float | None = None) -> float:
    """Seconds until the next attempt, with jitter: runs that failed together don't retry together.

    Never less than `asked_s`, the wait that an endpoint asked for.
    """
    backoff = min(FIRST_BACKOFF_S * 2.0 ** (failures - 1), LONGEST_BACKOFF_S)
    asked = min(asked_s or 0.0, LONGEST_ASKED_S)
    return max(backoff * random.uniform(0.5, 1.0), asked * random.uniform(1.0, 1.25))
