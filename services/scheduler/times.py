"""When a schedule is due: pure reckoning of its nominal times, all in UTC.

`every` counts from the epoch. `cron` is read in its time zone by cronsim, which does as
Debian's cron does when the clocks change. A line with a fixed hour and minute runs once on
such a day: one that falls into the hour left out runs when that hour would have ended, one
in the hour that comes twice runs in the first. A line whose minute or hour begins with `*`,
or that counts seconds, follows the time that passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim

from shared.definitions.model import Schedule

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_REACH = timedelta(hours=1)
REACH_GROWTH = 4


def following(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """The nominal times later than `after`, in order; a cron line without any ends."""
    if schedule.every is not None:
        count = (after - EPOCH) // schedule.every
        while True:
            count += 1
            yield EPOCH + count * schedule.every
    elif schedule.cron is not None:
        for local in CronSim(schedule.cron, after.astimezone(ZoneInfo(schedule.timezone))):
            nominal = local.astimezone(UTC)
            if nominal > after:  # begun in an hour's second coming, cronsim returns to its first
                yield nominal


def newest(schedule: Schedule, after: datetime, until: datetime, most: int) -> list[datetime]:
    """The last `most` nominal times in (after, until], oldest first.

    Looks back from `until`, further each time, so that a long absence costs little.
    """
    reach = FIRST_REACH
    while True:
        since = max(after, until - reach)
        found = list(takewhile(lambda nominal: nominal <= until, following(schedule, since)))
        if since == after or len(found) >= most:
            return found[-most:]
        reach *= REACH_GROWTH
