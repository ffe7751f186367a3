"""`.hutch`, the folder with the store and the broker's data of a system on this machine."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.errors import BrokerError

HOME = Path(".hutch")

DEMO_LOG = HOME / "demo.log"

START_S = 240.0
"""The time limit for a broker that another process is starting: its image may be downloaded."""
POLL_S = 0.2


def broker_url(home: Path) -> str | None:
    """The URL of the broker that `local_broker` runs in this folder; None if it runs none."""
    try:
        return (home / "broker").read_text("utf-8")
    except FileNotFoundError:
        return None


@contextmanager
def recorded(home: Path, url: str) -> Iterator[None]:
    """Keep the URL in a file, which only this user may read, while the context lasts."""
    file = home / "broker"
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(url)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def is_locked(home: Path) -> bool:
    """Whether a process has reserved the folder with `locked`: it runs a broker, or starts one."""
    try:
        with (home / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def running_broker(home: Path, say: Callable[[str], None]) -> str | None:
    """The URL of the broker that another process runs in this folder; None if none does.

    Waits for one that is being started; `say` gets a line about it.
    """
    waiting = False
    until = time.monotonic() + START_S
    while is_locked(home) and time.monotonic() < until:
        if url := broker_url(home):
            say("broker: that of the 'hutch up' that runs in this folder")
            return url
        if not waiting:
            say("broker: waiting for the 'hutch up' that starts one in this folder")
            waiting = True
        time.sleep(POLL_S)
    return None


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Reserve the folder for this process; raises `BrokerError` if another process has it."""
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BrokerError(
                f"another 'hutch' runs a broker in '{home}': end it, or set RABBITMQ_URL"
            ) from error
        (home / "broker").unlink(missing_ok=True)  # that of a process that was killed
        yield
