"""Options that several commands share, and the messages and values made from options."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar
from uuid import uuid4

import typer
from pydantic import TypeAdapter, ValidationError

from shared.contract.messages import COST_MOST, COUNT_MOST, Budget, Lineage
from shared.definitions.durations import Duration
from shared.errors import SettingsError

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
        fault = error.errors(include_url=False, include_input=False)[0]
        raise SettingsError(f"{fault['loc'][0]}: {fault['msg']}") from error


def budget(model_calls: int | None, tokens: int | None, cost: float | None) -> Budget | None:
    """The budget; None if nothing is limited. Raises `SettingsError` for too large a number."""
    if model_calls is None and tokens is None and cost is None:
        return None
    if max(model_calls or 0, tokens or 0) > COUNT_MOST:
        raise SettingsError(f"--model-calls and --tokens are at most {COUNT_MOST}")
    if not (cost or 0.0) <= COST_MOST:
        raise SettingsError(f"--cost is at most {COST_MOST:.0f}")
    return Budget(model_calls=model_calls, tokens=tokens, cost=cost)


def duration(option: str, text: str) -> timedelta:
    """The duration that an option's text means. Raises `SettingsError` with the option's name."""
    try:
        return TypeAdapter[timedelta](Duration).validate_python(text)
    except ValidationError as error:
        raise SettingsError(f"{option}: {error.errors()[0]['msg']}") from error
