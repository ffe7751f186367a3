"""The nominal times of a schedule, computed in UTC.

`every` counts from the epoch. cronsim computes the times of `cron` in its time zone; when the
clocks change, it does as Debian's cron. A line with a fixed hour and minute runs once on such a
day: in the hour that is left out, it runs when that hour would have ended; in the hour that comes
twice, it runs in the first. A line whose minute or hour begins with `*`, or that has seconds, runs
by elapsed time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim

from shared.definitions.schedules.schedule import Schedule

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_REACH = timedelta(hours=1)
REACH_GROWTH = 4


def following(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """The nominal times later than `after`, in order. A cron line may have none left."""
    if schedule.every is not None:
        count = (after - EPOCH) // schedule.every
        while True:
            count += 1
            yield EPOCH + count * schedule.every
    elif schedule.cron is not None:
        for local in CronSim(schedule.cron, after.astimezone(ZoneInfo(schedule.timezone))):
            nominal = local.astimezone(UTC)
            if nominal > after:  # from an hour's second occurrence, cronsim goes back to its first
                yield nominal


def newest(schedule: Schedule, after: datetime, until: datetime, most: int) -> list[datetime]:
    """The last `most` nominal times in (after, until], oldest first.

    The search begins shortly before `until` and goes further back, so a long gap costs little.
    """
    reach = FIRST_REACH
    while True:
        since = max(after, until - reach)
        found = list(takewhile(lambda nominal: nominal <= until, following(schedule, since)))
        if since == after or len(found) >= most:
            return found[-most:]
        reach *= REACH_GROWTH
