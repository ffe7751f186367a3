"""What a scheduler counts."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from shared.store.messages.ticks import TickOutcome

LATE_BUCKETS_S = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 600, 3600)
"""From a pass that was awake to an hour away."""


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
            self.ticks.labels(
                outcome.value
            )  # from the start: a series that comes later is no alert
