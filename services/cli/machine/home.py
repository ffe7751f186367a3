"""`.hutch`, the folder with the store and the broker's data of a system on this machine."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.errors import BrokerError

HOME = Path(".hutch")

DEMO_LOG = HOME / "demo.log"


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
        yield
