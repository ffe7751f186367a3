"""The name of the client that gives a command: its key at a gateway, or this machine's user."""

from __future__ import annotations

import getpass
import os

CALLER = "HUTCH_CALLER"
"""Set by the gateway for the commands that it executes; on a terminal it is not set."""

UNKNOWN = "unknown"


def caller() -> str:
    """The name, which is recorded with what the command does."""
    if given := os.environ.get(CALLER, "").strip():
        return given
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return UNKNOWN
