"""Orphan clean-up: ends what this process has started if it is killed and can't do so itself."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

END_S = 5.0
"""The time limit for the shell's end, which takes milliseconds."""


@contextmanager
def orphan_cleanup(command: str) -> Iterator[int]:
    """A shell runs `command` if this process dies inside the context, even by SIGKILL.

    Yields the shell's process group. The command `kill 0` ends all processes in that group.
    """
    shell = subprocess.Popen(
        ["sh", "-c", f"read -r line && exit; {command}"],
        stdin=subprocess.PIPE,  # our end of it closes when this process dies, on every Unix
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,  # a Ctrl-C is for this process, which ends its children itself
    )
    try:
        yield shell.pid
    finally:
        shell.communicate(b"done\n", timeout=END_S)
