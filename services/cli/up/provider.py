"""The providers with which the 'hutch up' processes of a folder run, for other commands there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from services.cli.machine.models import Provider


@contextmanager
def recorded(home: Path, provider: Provider) -> Iterator[None]:
    """Record the provider while the context lasts; the file's lock ends with this process.

    In a folder that can't be written, nothing is recorded.
    """
    file = home / "up" / f"{os.getpid()}.provider"
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = file.open("w", encoding="utf-8")
    except OSError:
        yield
        return
    with opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        opened.write(provider)
        opened.flush()
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def served_here(home: Path) -> Provider | None:
    """The provider of a 'hutch up' that serves its model itself; None if none runs here."""
    for file in sorted((home / "up").glob("*.provider")):
        with suppress(OSError), file.open(encoding="utf-8") as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                if (provider := opened.read()) in {Provider.SCRIPTED, Provider.LOCAL}:
                    return Provider(provider)
    return None
