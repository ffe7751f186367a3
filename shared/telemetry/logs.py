"""Structured log lines, without secrets and without texts of models and people."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MASK = "***"
_DUPLICATE_LOGGERS = ("aiormq.connection", "aiormq.channel", "mcp", "client")
"""Loggers of failed attempts and cancelled calls, which `shared.broker` reports already, and those
of the MCP SDK: they print what servers send, and the connection reports what has failed."""
_SECRET_KEY = re.compile(
    r"(^|[_-])(password|passwd|secret|token|api[_-]?key|authorization|cookie)$", re.IGNORECASE
)
_JSON = json.JSONEncoder(ensure_ascii=False, default=repr)  # made once: it takes as long as a line
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^/\s:@]*):[^/\s]*@")
_KEY_IN_TEXT = re.compile(r"\b(Bearer |Basic |sk-|hk_)[\w.~+/=-]{4,}", re.IGNORECASE)


def configure(format: Literal["auto", "json", "console"], service: str) -> None:
    """Send this process's log to stdout: libraries' lines from WARNING up, ours from INFO up.

    `auto` means `console` on a terminal and `json` elsewhere. Times are in UTC. Every line has
    `service` and the values bound with `structlog.contextvars`: agent, instance, task, run.
    """
    console = format == "console" or (format == "auto" and sys.stdout.isatty())
    chain = [*_common(service), *([] if console else [_event_as_message])]
    structlog.configure(
        processors=[_never_raising([*chain, _renderer(console)])],
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
    for name in _DUPLICATE_LOGGERS:
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
    return lambda _, __, event: _JSON.encode(event)


def _never_raising(chain: Sequence[Processor]) -> Processor:
    """A processor that runs the chain. If a value makes it raise, the line is replaced by one that
    reports this: logging never raises into the code that logs."""

    def line(logger: WrappedLogger, level: str, event: EventDict) -> str:
        text = event.get("event")
        try:
            made: Any = event
            for processor in chain:
                made = processor(logger, level, made)
            return str(made)
        except Exception as error:  # noqa: BLE001 - a value's own methods can raise anything
            reason = f"{type(error).__name__} in a value"
            lost = {"level": level, "message": "log line lost", "lost": str(text), "why": reason}
            return json.dumps(lost)

    return line


class _Stdout:
    """Standard output that accepts every text, and drops it if it can't be written."""

    def write(self, text: str) -> None:
        encoding = sys.stdout.encoding or "utf-8"
        with suppress(OSError, ValueError):  # a full disk or a closed pipe, which can't be logged
            sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stdout.flush()


def _event_as_message(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Rename the text's key to `message`, which log collectors expect."""
    return {"time": event.pop("timestamp"), "message": event.pop("event"), **event}


def mask_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The event with secrets masked: values of keys such as `password`, and secrets in texts."""
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
    """Whether the values of this key are secrets."""
    return _SECRET_KEY.search(key) is not None


def masked_text(text: str) -> str:
    """The text with passwords in URLs, bearer tokens and API keys replaced."""
    if "://" in text:  # cheap tests first: this runs for every value of every line
        text = _PASSWORD_IN_URL.sub(rf"\g<1>:{MASK}@", text)
    lowered = text.lower()
    if "sk-" in lowered or "hk_" in lowered or "bearer " in lowered or "basic " in lowered:
        text = _KEY_IN_TEXT.sub(rf"\g<1>{MASK}", text)
    return text
