"""Reading stored rows. Other versions and people write to a store too, so a row can be damaged:
`parsed` raises `DamagedRow`, `mended` marks the row, and both name the column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.contract.messages import Response, Status, Task, Trigger
from shared.errors import DamagedRow
from shared.validation import first_fault

T = TypeVar("T")


class Called(BaseModel):
    """A model's call, as its step stores it."""

    name: str = ""
    arguments: str = ""


class Output(BaseModel):
    """The parts of a finished step's output that people are shown."""

    content: str | None = None
    refusal: str | None = None
    tool_calls: tuple[Called, ...] = ()
    detail: str | None = None
    outcome: str | None = None
    """Of a check, with its reason, and the text that it has put in place of another."""
    reason: str | None = None
    text: str | None = None


_MESSAGE: TypeAdapter[Task | Trigger] = TypeAdapter(Task | Trigger)
_RESPONSE, _OUTPUT = TypeAdapter(Response), TypeAdapter(Output)


def message_of(stored: str) -> Task | Trigger:
    """The message of a run; raises `DamagedRow`."""
    return parsed(_MESSAGE, stored, "message")


def response_of(stored: str) -> Response:
    """The response of a run; raises `DamagedRow`."""
    return parsed(_RESPONSE, stored, "response")


def readable_response(stored: str, agent: str, task_id: str) -> Response:
    """The response of a run; `failed` for a damaged one, so that its requester gets an end."""
    try:
        return response_of(stored)
    except DamagedRow:
        content = "it has ended, but its stored response can't be read"
        return Response(task_id=task_id, agent=agent, status=Status.FAILED, content=content)


def output_of(stored: str) -> Output:
    """The output of a step, for people; raises `DamagedRow`."""
    return parsed(_OUTPUT, stored, "output")


def storable(text: str) -> str:
    """The text without what UTF-8 or a database can't hold: NUL is removed, half a surrogate pair
    becomes `?`."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def parsed(kind: TypeAdapter[T], stored: str, column: str) -> T:
    """The value of a stored JSON text; raises `DamagedRow` with one sentence naming the column."""
    try:
        return kind.validate_json(stored)
    except ValidationError as error:
        raise DamagedRow(f"the stored {column} can't be read: {first_fault(error)}") from error


def mended(kind: TypeAdapter[T], row: Mapping[str, object], blank: Mapping[str, object]) -> T:
    """Parse a row as `kind`. A field that can't be read gets its value from `blank`, and `damage`
    the reason."""
    try:
        return kind.validate_python(dict(row))
    except ValidationError as error:
        bad = {str(fault["loc"][0]) for fault in error.errors()}
        damage = f"what is stored can't be read: {first_fault(error)}"
        return kind.validate_python({**row, **{it: blank[it] for it in bad}, "damage": damage})
