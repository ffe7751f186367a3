"""The clock of the store; that it can be opened and has the right revision is checked before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from services.cli.doctor.finding import Area, Finding, fault
from shared.store import Store
from shared.store.queries.condition import condition

MOST_APART = timedelta(seconds=5)
"""Deadlines are minutes, and a tick of a schedule is up to a minute late before it is missed."""


async def store_findings(store: Store) -> list[Finding]:
    before = datetime.now(UTC)
    stored = (await store.read(condition)).now
    return list(clock_findings(stored - before, datetime.now(UTC) - before))


def clock_findings(ahead: timedelta, took: timedelta) -> Iterator[Finding]:
    """`ahead` is the difference of the store's clock and this machine's, `took` how long it took
    to read."""
    if -MOST_APART <= ahead <= MOST_APART + took:
        return
    seconds = abs(ahead.total_seconds())
    yield fault(
        Area.STORE,
        f"the store's clock is {seconds:.0f} s {'ahead of' if ahead > took else 'behind'} this "
        "machine's: deadlines and schedules depend on both",
        "correct the wrong one, and let both follow a time server (NTP)",
    )
