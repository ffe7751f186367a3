"""Orphan clean-up: ending what this process has started when it is killed and can't do so."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

END_S = 5.0
"""The shell needs milliseconds to end."""


@contextmanager
def orphan_cleanup(command: str) -> Iterator[int]:
    """Have a shell run `command` if this process dies inside the context, even by SIGKILL.

    Yields the shell's process group. A process that was started in it is ended by `kill 0`.
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
