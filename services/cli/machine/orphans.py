"""What must still be done when this process is killed and can do nothing itself."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

END_S = 5.0
"""A shell that has been told to end needs milliseconds."""


@contextmanager
def guardian(command: str) -> Iterator[int]:
    """Have a shell run `command` if this process dies inside the context, even by SIGKILL.

    Gives the shell's process group. A process started in it is ended by `kill 0`.
    """
    shell = subprocess.Popen(
        ["sh", "-c", f"read -r line && exit; {command}"],
        stdin=subprocess.PIPE,  # its end is our end, on every Unix
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,  # a Ctrl-C is for this process, which tells its children itself
    )
    try:
        yield shell.pid
    finally:
        shell.communicate(b"done\n", timeout=END_S)
