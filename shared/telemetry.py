"""What a process tells of itself: log lines and counters, never a secret, never a text."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Literal, TextIO, cast, get_args

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.errors import ModelFault
from shared.messages import Status

MASK = "***"
_TOLD_BETTER = ("aiormq.connection", "aiormq.channel")
"""They log each try that fails and each call that is cancelled; `shared.broker` tells both."""
_SECRET_KEY = re.compile(
    r"(^|[_-])(password|passwd|secret|token|api[_-]?key|authorization|cookie)$", re.IGNORECASE
)
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^/\s:@]*):[^/\s]*@")
_KEY_IN_TEXT = re.compile(r"\b(Bearer |Basic |sk-)[\w.~+/=-]{4,}", re.IGNORECASE)


def configure(format: Literal["auto", "json", "console"], service: str) -> None:
    """Sends this process's log to stdout, libraries' from WARNING up, ours from INFO up.

    `auto` is readable on a terminal and JSON elsewhere, with times in UTC. Every line carries
    `service` and what is bound with `structlog.contextvars`: agent, instance, task, run.
    """
    console = format == "console" or (format == "auto" and sys.stdout.isatty())
    chain = [*_common(service), *([] if console else [_event_as_message])]
    structlog.configure(
        processors=[_whatever_it_holds([*chain, _renderer(console)])],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _Stdout())),
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *chain],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(console),
            ],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in _TOLD_BETTER:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _common(service: str) -> list[Processor]:
    def add_service(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        return {"service": service, **event}

    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        add_service,
        mask_secrets,
    ]


def _renderer(console: bool) -> Processor:
    if console:
        return structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    return structlog.processors.JSONRenderer(ensure_ascii=False)


def _whatever_it_holds(chain: Sequence[Processor]) -> Processor:
    """The chain's line, or where a value breaks the chain one that names it: a log line never
    raises into what it tells of."""

    def line(logger: WrappedLogger, level: str, event: EventDict) -> str:
        text = event.get("event")
        try:
            made: Any = event
            for processor in chain:
                made = processor(logger, level, made)
            return str(made)
        except Exception as error:  # noqa: BLE001 - whatever a value's own methods raise
            why = f"{type(error).__name__} in a value"
            lost = {"level": level, "message": "log line lost", "lost": str(text), "why": why}
            return json.dumps(lost)

    return line


class _Stdout:
    """Standard output that takes every text, and loses it where nobody takes it any more."""

    def write(self, text: str) -> None:
        encoding = sys.stdout.encoding or "utf-8"
        with suppress(OSError, ValueError):  # a full disk, a closed pipe: there is nowhere to tell
            sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stdout.flush()


def _event_as_message(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """`message` is where log collectors look for the text."""
    return {"time": event.pop("timestamp"), "message": event.pop("event"), **event}


def mask_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The same line with secrets masked by the name of their key, in URLs and in headers."""
    return {key: _masked(key, value) for key, value in event.items()}


def _masked(key: str, value: object) -> object:
    if value is None:
        return value
    if is_secret(key):
        return MASK
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {str(inner): _masked(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked("", item) for item in value]
    return masked_text(str(value))


@lru_cache(maxsize=1024)
def is_secret(key: str) -> bool:
    """Whether what bears this name is a secret."""
    return _SECRET_KEY.search(key) is not None


def masked_text(text: str) -> str:
    """The text with passwords in URLs, bearer tokens and API keys replaced."""
    if "://" in text:  # the cheap looks first: every value of every line comes by here
        text = _PASSWORD_IN_URL.sub(rf"\g<1>:{MASK}@", text)
    lowered = text.lower()
    if "sk-" in lowered or "bearer " in lowered or "basic " in lowered:
        text = _KEY_IN_TEXT.sub(rf"\g<1>{MASK}", text)
    return text


class Metrics:
    """The counters of an agent's process; each process sees its own, Prometheus adds them up."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.runs = Gauge(
            "hutch_runs",
            "Runs by state: running and waiting ones of this process, due ones of its agent.",
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
        self.runs_ended = Counter(
            "hutch_runs_ended", "Runs that this process ended.", ["status"], registry=registry
        )
        self.model_calls = Counter(
            "hutch_model_calls", "Model calls that were paid for.", registry=registry
        )
        self.model_failures = Counter(
            "hutch_model_failures",
            "Tries at the model that failed, those that a later one made up for too.",
            ["reason"],
            registry=registry,
        )
        self.runs_put_off = Counter(
            "hutch_runs_put_off", "Runs put off because their model was away.", registry=registry
        )
        self.tokens = Counter(
            "hutch_model_tokens", "Tokens that were paid for.", ["direction"], registry=registry
        )
        self.dead_letters = Counter(
            "hutch_dead_letters", "Messages sent to the dead letters.", registry=registry
        )
        self.dead_letters_kept = Gauge(
            "hutch_dead_letters_kept",
            "Dead letters in the store, of all agents: the queue `dead` did not take them.",
            registry=registry,
        )
        self.takeovers = Counter(
            "hutch_takeovers", "Runs taken over from a dead instance.", registry=registry
        )
        self.run_deaths = Gauge(
            "hutch_run_deaths",
            "Processes that died on one open run of the agent, the most, by the store's count.",
            registry=registry,
        )
        self.outbox_unsent = Gauge(
            "hutch_outbox_unsent", "Messages of this agent not yet confirmed.", registry=registry
        )
        self.outbox_oldest_age = Gauge(
            "hutch_outbox_oldest_age_seconds",
            "Age of the agent's oldest message not yet confirmed, whoever publishes it.",
            registry=registry,
        )
        self.publish_failures = Counter(
            "hutch_publish_failures", "Publishings to be tried again.", registry=registry
        )
        self.oldest_due_age = Gauge(
            "hutch_oldest_due_age_seconds", "Wait of the agent's oldest due run.", registry=registry
        )
        self.events_dropped = Gauge(
            "hutch_events_dropped", "Events never sent: the broker was away.", registry=registry
        )
        self._show_zeros()

    def model_failed(self, reason: ModelFault) -> None:
        self.model_failures.labels(reason).inc()

    def _show_zeros(self) -> None:
        """A series that exists from the start can be alerted on; one that appears later can't."""
        for reason in get_args(ModelFault):
            self.model_failures.labels(reason)
        for state in ("due", "running", "waiting"):
            self.runs.labels(state)
        for status in Status:
            self.runs_ended.labels(status.value)
        for direction in ("input", "output"):
            self.tokens.labels(direction)
