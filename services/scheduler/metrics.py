"""The scheduler's metrics."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from shared.store.messages.ticks import TickOutcome

LATE_BUCKETS_S = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 600, 3600)
"""From a tick sent at its time to one sent after an hour's absence."""


class Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.ticks = Counter(
            "hutch_ticks", "Ticks that this process settled.", ["outcome"], registry=registry
        )
        self.lateness = Histogram(
            "hutch_tick_lateness_seconds",
            "From the nominal time to the broker's confirm.",
            buckets=LATE_BUCKETS_S,
            registry=registry,
        )
        for outcome in (TickOutcome.SENT, TickOutcome.SKIPPED, TickOutcome.MISSED):
            # A series must exist from the start: an alert can't use one that appears later.
            self.ticks.labels(outcome.value)
