"""A command through a gateway: its arguments are sent there, and its output is printed here.

Neither the broker nor the store is used, and none of their libraries is loaded.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPException, HTTPMessage
from shutil import get_terminal_size
from typing import IO
from uuid import uuid4

from shared.contract.remote_commands import (
    PATH,
    TERM,
    TIMEZONE,
    is_reference,
    text_place,
    with_id,
)
from shared.errors import HutchError, SettingsError
from shared.settings.gateway_address import (
    ADDRESS,
    KEY,
    GatewayAddress,
    local_terminal,
)

SILENCE_S = 60.0
"""The gateway sends something every ten seconds."""

LONG_CHARS = 10_000
"""A text of this length fits into an argument of any system."""

INTERRUPTED = 130
BROKEN_PIPE = 1

_STREAMS = {"stdout": sys.stdout, "stderr": sys.stderr}


def execute(gateway: GatewayAddress, arguments: Sequence[str]) -> int:
    """Execute a command at the gateway; returns its exit code. Raises `HutchError`."""
    given, id = with_id(arguments, uuid4().hex)
    given, stdin = _with_text(given)
    size, terminal = get_terminal_size(), local_terminal()
    body = {
        "arguments": given,
        "stdin": stdin,
        "columns": max(20, min(size.columns, 1000)),
        "lines": max(2, min(size.lines, 1000)),
        "stdout_terminal": sys.stdout.isatty(),
        "stderr_terminal": sys.stderr.isatty(),
        "term": _matching(TERM, terminal.term),
        "no_color": terminal.no_color,
        "timezone": _matching(TIMEZONE, terminal.timezone),
    }
    try:
        with closing(_opened(gateway, body)) as response:
            return _printed(response)
    except KeyboardInterrupt:
        _interrupted(id)
        return INTERRUPTED
    except BrokenPipeError:  # as `| head`: closing the connection has ended the command
        sys.stderr.close()
        return BROKEN_PIPE
    except (OSError, HTTPException) as error:
        hint = f"; 'hutch show {id}' says whether the message was sent" if id else ""
        raise HutchError(f"the connection to {gateway.url} was lost: {error}{hint}") from error


def _matching(pattern: str, text: str) -> str | None:
    return text if re.match(pattern, text) else None


def _with_text(arguments: Sequence[str]) -> tuple[list[str], str | None]:
    """The arguments, with a long text apart, and with that of a file or of stdin, which the
    gateway doesn't read."""
    given = list(arguments)
    place = text_place(given)
    if place is None or not (is_reference(given[place]) or len(given[place]) > LONG_CHARS):
        return given, None
    from services.cli.options import given_text  # loads typer and pydantic

    text = given_text(given[place])
    given[place] = "-"
    return given, text


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Another host must not get the key."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        raise SettingsError(f"the gateway sends us to {newurl}: set {ADDRESS} to that if it is one")


def _opened(gateway: GatewayAddress, body: dict[str, object]) -> IO[bytes]:
    """The gateway's response, whose lines come while the command runs."""
    headers = {"Content-Type": "application/json", "Accept": "application/x-ndjson"}
    if gateway.key:
        headers["Authorization"] = f"Bearer {gateway.key}"
    request = urllib.request.Request(
        gateway.url + PATH, json.dumps(body).encode(), headers, method="POST"
    )
    try:
        opener = urllib.request.build_opener(_NoRedirect)
        response: IO[bytes] = opener.open(request, timeout=SILENCE_S)
    except urllib.error.HTTPError as error:
        raise _refused(gateway, error) from error
    except urllib.error.URLError as error:
        reason = getattr(error.reason, "strerror", None) or error.reason
        raise HutchError(
            f"the gateway {gateway.url} can't be reached: {reason}; {ADDRESS} names it"
        ) from error
    return response


def _refused(gateway: GatewayAddress, error: urllib.error.HTTPError) -> HutchError:
    with error:
        try:
            problem = json.loads(error.read())
            detail = str(problem["detail"])
        except (ValueError, KeyError, TypeError, OSError, HTTPException):
            return HutchError(f"{gateway.url} is no gateway of Hutch: it answers {error.code}")
    if error.code == 401:
        return SettingsError(f"{detail}; set {KEY}, or {KEY}_FILE")
    return HutchError(detail)


def _printed(response: IO[bytes]) -> int:
    """Print the command's output while it comes; returns its exit code."""
    for line in response:
        if not line.strip():
            continue
        try:
            part: dict[str, object] = json.loads(line)
        except ValueError:  # the connection was cut off in the middle of it
            break
        if "exit" in part:
            return int(str(part["exit"]))
        for name, text in part.items():
            stream = _STREAMS[name]
            stream.buffer.write(str(text).encode())
            stream.buffer.flush()
    raise HutchError("the gateway has ended the stream before the command ended: give it again")


def _interrupted(id: str) -> None:
    if id:
        print(  # noqa: T201 - typer is not loaded
            f"if the message was sent, it goes on: 'hutch wait {id}' waits for its response, "
            f"'hutch cancel {id}' ends it",
            file=sys.stderr,
        )
