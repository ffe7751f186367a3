"""The results of an attempt to execute a run. Each is handled in `execution`, and only there:

Ended       an outcome, committed with its response
Postponed   the model is unavailable, or its limit used up: the run is due again later
Parked      the run waits for a person's decision
HandedOver  any replica goes on with the run, at once or after a delay
Lost        another instance owns the run
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from services.agent.runs.ending import Ended
from services.agent.runs.postponement import backoff_s
from shared.errors import BrokerError, RunLost, StoreError
from shared.store.runs.run import Run

log = structlog.get_logger()

END_RETRY_S = 60.0
"""The delay before the next attempt to end a run whose end the store has refused."""


@dataclass(frozen=True)
class Postponed:
    """The postponement is committed already; nothing is left to do here."""


@dataclass(frozen=True)
class Parked:
    """The run is parked already; nothing is left to do here."""


@dataclass(frozen=True)
class HandedOver:
    delay_s: float = 0.0
    """The time until a replica can take the run."""


@dataclass(frozen=True)
class Lost:
    reason: str


Result = Ended | Postponed | Parked | HandedOver | Lost


def interrupted(run: Run, error: BaseException) -> HandedOver | Lost:
    """The result of a run that has an error in place of an end."""
    match error:
        case RunLost():
            return Lost(str(error))
        case BrokerError():
            log.warning("run not given up yet", reason=str(error))
            return HandedOver(backoff_s(run.failures + 1))
        case StoreError():
            log.error("run not ended yet", reason=str(error))
        case _:
            log.error("run not ended yet", exc_info=error)
    return HandedOver(END_RETRY_S)
