"""`hutch` in the tests' own process."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from services.cli.__main__ import app

CLOSED = "amqp://guest:guest@127.0.0.1:1/"
"""No process listens on port 1."""


def hutch(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, prog_name="hutch")
