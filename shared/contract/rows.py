"""Rows read back. A store is also written by other versions, and by hand: what of a row can't be
read is named, and never raises into a process that only comes by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.contract.messages import Response, Task, Trigger, first_fault
from shared.errors import DamagedRow

T = TypeVar("T")


class Called(BaseModel):
    """A call that a model made, as its step holds it."""

    name: str = ""
    arguments: str = ""


class Output(BaseModel):
    """What of a finished step's output a person is shown."""

    content: str | None = None
    refusal: str | None = None
    tool_calls: tuple[Called, ...] = ()
    detail: str | None = None


_MESSAGE: TypeAdapter[Task | Trigger] = TypeAdapter(Task | Trigger)
_RESPONSE, _OUTPUT = TypeAdapter(Response), TypeAdapter(Output)


def message_of(stored: str) -> Task | Trigger:
    """What a run was asked; raises `DamagedRow`."""
    return parsed(_MESSAGE, stored, "message")


def response_of(stored: str) -> Response:
    """What a run has answered; raises `DamagedRow`."""
    return parsed(_RESPONSE, stored, "response")


def output_of(stored: str) -> Output:
    """What a step has come to, for people; raises `DamagedRow`."""
    return parsed(_OUTPUT, stored, "output")


def storable(text: str) -> str:
    """Text as UTF-8 and any database can hold it: without NUL and half surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def parsed(kind: TypeAdapter[T], stored: str, column: str) -> T:
    """A stored JSON text; raises `DamagedRow` with one sentence that names the column."""
    try:
        return kind.validate_json(stored)
    except ValidationError as error:
        raise DamagedRow(f"the stored {column} can't be read: {first_fault(error)}") from error


def mended(kind: TypeAdapter[T], row: Mapping[str, object], blank: Mapping[str, object]) -> T:
    """A row as `kind`. Fields that can't be read are `blank`, and named in its field `damage`."""
    try:
        return kind.validate_python(dict(row))
    except ValidationError as error:
        bad = {str(fault["loc"][0]) for fault in error.errors()}
        damage = f"what is stored can't be read: {first_fault(error)}"
        return kind.validate_python({**row, **{it: blank[it] for it in bad}, "damage": damage})
