"""The metrics of a gateway's process."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

FIRST_TEXT_S = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60)


class Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "hutch_gateway_requests",
            "Requests by the route that served them.",
            ["route", "status"],
            registry=registry,
        )
        self.streams = Gauge(
            "hutch_gateway_streams", "Open streams of events to clients.", registry=registry
        )
        self.first_text = Histogram(
            "hutch_gateway_first_text_seconds",
            "Seconds from the beginning of a stream to its first piece of a model's text.",
            buckets=FIRST_TEXT_S,
            registry=registry,
        )
