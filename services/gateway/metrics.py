"""The metrics of a gateway's process."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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


class RequestCount:
    """Counts each request by its route and status; 499: the client left before the response."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 499

        async def note(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            # A path of no route would be a series of its own: anyone could make any number.
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.requests.labels(route, status).inc()
