"""The metrics of an agent's process."""

from __future__ import annotations

from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from shared.contract.messages import Status
from shared.errors import ModelFault


class Metrics:
    """The metrics of one agent's process; Prometheus adds up those of all processes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.runs = Gauge(
            "hutch_runs",
            "Runs by state: running and waiting ones of this process, due and delayed ones of its "
            "agent.",
            ["state"],
            registry=registry,
        )
        self.slots_taken = Gauge(
            "hutch_slots_taken",
            "Slots that this process has taken: as many as it has open runs.",
            registry=registry,
        )
        self.runs_open = Gauge(
            "hutch_runs_open", "Open runs that have a job in this process.", registry=registry
        )
        self.mailbox_consuming = Gauge(
            "hutch_mailbox_consuming",
            "1 while this process consumes its agent's mailbox: it has a free slot.",
            registry=registry,
        )
        self.tool_threads = Gauge(
            "hutch_tool_threads",
            "Threads of tools by state; an abandoned one runs on after its call has ended.",
            ["state"],
            registry=registry,
        )
        self.mcp_connected = Gauge(
            "hutch_mcp_connected",
            "1 while this process is connected to the MCP server, else 0.",
            ["server"],
            registry=registry,
        )
        self.runs_ended = Counter(
            "hutch_runs_ended", "Runs that this process ended.", ["status"], registry=registry
        )
        self.model_calls = Counter(
            "hutch_model_calls", "Model calls that were paid for.", registry=registry
        )
        self.model_failures = Counter(
            "hutch_model_failures",
            "Attempts to call the model that failed, also if a later one succeeded.",
            ["reason"],
            registry=registry,
        )
        self.runs_postponed = Counter(
            "hutch_runs_put_off",
            "Runs postponed because their model was unavailable.",
            registry=registry,
        )
        self.limit_waits = Counter(
            "hutch_limit_waits",
            "How often a run began to wait for a shared limit of a model, here or postponed.",
            ["model"],
            registry=registry,
        )
        self.tokens = Counter(
            "hutch_model_tokens", "Tokens that were paid for.", ["direction"], registry=registry
        )
        self.dead_letters = Counter(
            "hutch_dead_letters", "Messages that became dead letters.", registry=registry
        )
        self.dead_letters_kept = Gauge(
            "hutch_dead_letters_kept",
            "Dead letters of all agents in the store: the queue `dead` did not accept them.",
            registry=registry,
        )
        self.approvals_pending = Gauge(
            "hutch_approvals_pending",
            "Calls of the agent that wait for a person's decision.",
            registry=registry,
        )
        self.takeovers = Counter(
            "hutch_takeovers", "Runs taken over from a dead instance.", registry=registry
        )
        self.run_deaths = Gauge(
            "hutch_run_deaths",
            "The most processes that died on one open run of the agent, by the store's count.",
            registry=registry,
        )
        self.outbox_unsent = Gauge(
            "hutch_outbox_unsent", "Messages of this agent not yet confirmed.", registry=registry
        )
        self.outbox_oldest_age = Gauge(
            "hutch_outbox_oldest_age_seconds",
            "Age of the agent's oldest message not yet confirmed, of all replicas.",
            registry=registry,
        )
        self.publish_failures = Counter(
            "hutch_publish_failures", "Failed publishes that are retried.", registry=registry
        )
        self.oldest_due_age = Gauge(
            "hutch_oldest_due_age_seconds", "Wait of the agent's oldest due run.", registry=registry
        )
        self.events_dropped = Gauge(
            "hutch_events_dropped",
            "Events never sent: the broker was unavailable.",
            registry=registry,
        )
        self._show_zeros()

    def model_failed(self, reason: ModelFault) -> None:
        self.model_failures.labels(reason).inc()

    def mcp_server(self, name: str, connected: bool) -> None:
        self.mcp_connected.labels(name).set(connected)

    def _show_zeros(self) -> None:
        """Create all series at the start: alerts miss the first increase of a new series."""
        for reason in get_args(ModelFault):
            self.model_failures.labels(reason)
        for state in ("due", "delayed", "running", "waiting"):
            self.runs.labels(state)
        for status in Status:
            self.runs_ended.labels(status.value)
        for direction in ("input", "output"):
            self.tokens.labels(direction)
