"""The command line through the gateway: `hutch` with HUTCH_GATEWAY sends its arguments here."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.gateway import gateway as gateways
from services.gateway.access import audit
from services.gateway.access.body import BODY_BYTES
from services.gateway.access.caller import Caller, Reader
from services.gateway.problems import Problem
from services.gateway.system.commands import Command, CommandRunner, Terminal
from shared.contract.remote_commands import (
    PATH,
    SCOPES,
    TERM,
    TIMEZONE,
    command_of,
    is_reference,
    subject_of,
    text_place,
)

ARGUMENT_CHARS = 30_000
"""Linux takes arguments of 128 kB; a character has up to four bytes. A longer text comes as
`stdin`."""

Argument = Annotated[str, StringConstraints(max_length=ARGUMENT_CHARS, pattern=r"^[^\x00]*$")]

router = APIRouter(tags=["commands"])


class CommandRequest(BaseModel):
    """A command as it was given on a terminal; no shell reads it."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"arguments": ["runs", "--status", "failed"]}]},
    )

    arguments: list[Argument] = Field(min_length=1, max_length=200)
    stdin: str | None = Field(
        default=None, max_length=BODY_BYTES, description="the text for which `-` stands"
    )
    columns: int = Field(default=80, ge=20, le=1000)
    lines: int = Field(default=24, ge=2, le=1000)
    stdout_terminal: bool = Field(default=False, description="whether a terminal shows stdout")
    stderr_terminal: bool = Field(default=False, description="whether a terminal shows stderr")
    term: str | None = Field(default=None, pattern=TERM)
    no_color: bool = Field(default=False, description="terminals get no colours")
    timezone: str | None = Field(
        default=None,
        pattern=TIMEZONE,
        max_length=64,
        description="the time zone of printed times: a name, or an offset as in the variable TZ",
    )

    @property
    def terminal(self) -> Terminal:
        given = {
            "TERM": self.term,
            "TZ": self.timezone,
            "NO_COLOR": "1" if self.no_color else None,
        }
        environment = {name: value for name, value in given.items() if value is not None}
        return Terminal(
            self.columns, self.lines, self.stdout_terminal, self.stderr_terminal, environment
        )


@router.post(
    PATH,
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Lines of JSON, each with `stdout`, `stderr` or `exit`; the last has "
            "`exit`. Empty lines mean that the command still runs.",
            "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
        }
    },
)
async def run_command(asked: CommandRequest, caller: Reader, request: Request) -> StreamingResponse:
    """Run a command of `hutch` beside the gateway, with the gateway's own settings.

    It is interrupted when the client leaves.
    """
    commands: CommandRunner = request.app.state.commands
    name = _allowed(asked, caller)
    output = commands.output(Command(asked.arguments, asked.stdin, asked.terminal, caller.name))
    caller.count_stream()
    if SCOPES[name] != "read":
        store = gateways.of(request).store
        await audit.record(
            store, caller, f"command.{name.replace(' ', '.')}", subject_of(asked.arguments)
        )
    return StreamingResponse(output, media_type="application/x-ndjson")


def _allowed(asked: CommandRequest, caller: Caller) -> str:
    """The command's name; raises the problem that it may not be given so or by this caller."""
    caller.check_all("commands show all of them")
    name = command_of(asked.arguments)
    if name is None:
        raise Problem(HTTPStatus.BAD_REQUEST, "the gateway does not execute this command")
    if SCOPES[name] not in caller.scopes:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"the key '{caller.name}' lacks the scope '{SCOPES[name]}', which 'hutch {name}' needs",
        )
    place = text_place(asked.arguments)
    text = "" if place is None else asked.arguments[place]
    if is_reference(text) and (text != "-" or asked.stdin is None):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "a command reads no file of the gateway: send the text as `stdin`, with '-' in its "
            "place",
        )
    return name
