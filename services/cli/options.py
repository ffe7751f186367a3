"""Options that several commands share, and the messages and values made from options."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar
from uuid import uuid4

import typer
from pydantic import TypeAdapter, ValidationError

from shared.contract import priority
from shared.contract.messages import COST_MOST, COUNT_MOST, Budget, Lineage
from shared.contract.times import delay_fault
from shared.definitions.durations import Duration
from shared.errors import SettingsError
from shared.validation import first_fault

_TIME_OF_DAY = re.compile(r"\d\d:")


def given_text(text: str | None) -> str | None:
    """The text that an argument means: `-` is stdin, `@FILE` a file, `@@…` a text with one `@`.

    Raises `SettingsError` for a file that can't be read, and for an empty text.
    """
    if text is None or text.startswith("@@"):
        return text and text[1:]
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text("utf-8")
    except OSError as error:
        raise SettingsError(
            f"{text}: {error.strerror or error}; a text that begins with @ is written @{text}"
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{text}: it is not UTF-8") from error
    if not text.strip():
        raise SettingsError("the text is empty: there is nothing to do")
    return text


_WHAT = typer.Argument(
    help="What to do; '-' reads it from stdin, @FILE from a file.", callback=given_text
)
TaskText = Annotated[str, _WHAT]
TriggerText = Annotated[str | None, _WHAT]
Context = Annotated[str | None, typer.Option(help="What else the agent should know.")]
Session = Annotated[str | None, typer.Option(help="The conversation that the task continues.")]
ModelCalls = Annotated[
    int | None, typer.Option(min=1, help="The most model calls, its workers' included.")
]
Tokens = Annotated[
    int | None,
    typer.Option(min=1, help="The most input and output tokens, its workers' included."),
]
Cost = Annotated[
    float | None,
    typer.Option(min=0.000001, help="The most US dollars for model calls, its workers' included."),
]
Delay = Annotated[
    str | None,
    typer.Option(help="It starts no earlier than in 10m, 1h30m, 48h; at most in 30 days."),
]
At = Annotated[
    str | None,
    typer.Option(
        help="It starts no earlier than at 09:00 or 2026-12-01T09:00, in this machine's time or "
        "with an offset."
    ),
]
Priority = Annotated[
    priority.Priority | None, typer.Option(help="Interactive runs go before background ones.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

Sent = TypeVar("Sent", bound=Lineage)


def message(kind: type[Sent], **fields: object) -> Sent:
    """A message with an id, a sender and a time; fields that are None are left out.

    Raises `SettingsError` with the name of a field whose value is not valid in a message.
    """
    common = {"id": uuid4().hex, "sender": "cli", "sent_at": datetime.now(UTC)}
    given = {key: value for key, value in fields.items() if value is not None}
    try:
        return kind.model_validate(common | given)
    except ValidationError as error:
        raise SettingsError(first_fault(error, kind, verb="write")) from error


def budget(model_calls: int | None, tokens: int | None, cost: float | None) -> Budget | None:
    """The budget; None if nothing is limited. Raises `SettingsError` for too large a number."""
    if model_calls is None and tokens is None and cost is None:
        return None
    if max(model_calls or 0, tokens or 0) > COUNT_MOST:
        raise SettingsError(f"--model-calls and --tokens are at most {COUNT_MOST}")
    if not (cost or 0.0) <= COST_MOST:
        raise SettingsError(f"--cost is at most {COST_MOST:.0f}")
    return Budget(model_calls=model_calls, tokens=tokens, cost=cost)


def past(option: str, text: str, now: datetime) -> datetime:
    """The time that an option's text means: so long ago, or a local time, of today without a day.

    Raises `SettingsError` with the option's name.
    """
    with suppress(SettingsError):
        return now - duration(option, text)
    return _time(option, text, now, "2h, 09:00 or 2026-11-30T09:00")


def _time(option: str, text: str, now: datetime, examples: str) -> datetime:
    today = f"{now.astimezone():%Y-%m-%d}T" if ":" in text else ""
    for written in (text, today + text):
        with suppress(ValueError, OverflowError):
            return datetime.fromisoformat(written).astimezone()
    raise SettingsError(f"{option}: '{text}' is no time: it is like {examples}")


def duration(option: str, text: str) -> timedelta:
    """The duration that an option's text means. Raises `SettingsError` with the option's name."""
    try:
        return TypeAdapter[timedelta](Duration).validate_python(text)
    except ValidationError as error:
        raise SettingsError(f"{option}: {first_fault(error)}") from error


def not_before(delay: str | None, at: str | None, session: str | None = None) -> datetime | None:
    """The start that `--delay` or `--at` means; None without both.

    Raises `SettingsError` for a text that is no time, and for a start that no task can have.
    """
    if delay is None and at is None:
        return None
    if delay is not None and at is not None:
        raise SettingsError("--delay and --at exclude each other")
    now = datetime.now(UTC)
    if delay is not None:
        start = now + duration("--delay", delay)
    else:
        examples = "09:00, 2026-12-01T09:00 or 2026-12-01T09:00+01:00"
        start = _time("--at", at or "", now, examples)
    if start < now:
        tomorrow = f"{now.astimezone() + timedelta(days=1):%Y-%m-%d}T{at}"
        hint = f": for tomorrow write {tomorrow}" if _TIME_OF_DAY.match(at or "") else ""
        raise SettingsError(f"--at: {at} has passed{hint}")
    if fault := delay_fault(start, None, session):
        raise SettingsError(fault)
    return start
