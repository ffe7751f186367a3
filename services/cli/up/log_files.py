"""The lines of each process that 'hutch up' runs, in `.hutch/logs`, within a limited size."""

from __future__ import annotations

import heapq
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

MOST_BYTES = 5_000_000
"""A larger file is kept as `NAME.log.1`, instead of the earlier one, and a new one is begun."""
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")


def folder(home: Path) -> Path:
    return home / "logs"


def write(folder: Path, name: str, line: str) -> None:
    """Append a line. A file that can't be written is left out: the agents go on."""
    file = folder / f"{name}.log"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")
        if file.stat().st_size > MOST_BYTES:
            file.replace(_earlier(file))


class LogReader:
    """Reads the lines of an agent's processes, or of all processes, in the order of their times."""

    def __init__(self, folder: Path, agent: str | None) -> None:
        self._folder = folder
        self._agent = agent
        self._read: dict[int, int] = {}
        """For each file by its number in the file system: the bytes that were read."""

    def more(self) -> list[tuple[str, str]]:
        """The lines since the last call, at first all, each with its process's name."""
        files = [file for file in self._folder.glob("*.log") if self._wanted(file.stem)]
        found = heapq.merge(*map(self._of, files), key=itemgetter(0))
        return [(name, line.decode("utf-8", "replace").rstrip("\n")) for _, name, line in found]

    def _wanted(self, process: str) -> bool:
        return self._agent in (None, process, process.partition(".")[0])

    def _of(self, file: Path) -> Iterator[tuple[bytes, str, bytes]]:
        """The new lines, each with its time; a line without a time has that of the line before."""
        at = b""
        for line in self._lines(file):
            if time := _TIME.search(line):
                at = max(at, time[0])
            yield at, file.stem, line

    def _lines(self, file: Path) -> Iterator[bytes]:
        for part in (_earlier(file), file):
            with suppress(FileNotFoundError), part.open("rb") as opened:
                state = os.fstat(opened.fileno())
                read = self._read.get(state.st_ino, 0)
                # Fewer bytes than were read: a new file, with the number of a deleted one.
                opened.seek(read if read <= state.st_size else 0)
                yield from _complete(opened)
                self._read[state.st_ino] = opened.tell()


def _complete(opened: BinaryIO) -> Iterator[bytes]:
    while line := opened.readline():
        if not line.endswith(b"\n"):
            opened.seek(-len(line), os.SEEK_CUR)
            return
        yield line


def _earlier(file: Path) -> Path:
    return file.with_suffix(".log.1")
