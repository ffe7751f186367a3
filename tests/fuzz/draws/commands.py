"""The commands that a person gives meanwhile: a pure function of the seed."""

from __future__ import annotations

import random
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count

from tests.fuzz.draws.plan import AGENTS, SESSIONS, marker
from tests.fuzz.draws.values import Draw, weighted
from tests.fuzz.ledger import Ledger
from tests.support.processes.running import System

OURS = ("a fault of ours", "Traceback")
"""Text that no command may print, whatever the store and the dead letters contain: it shows the
trace of an expected error only where it was asked to debug."""


VOLLEYS_PER_COMMAND = 20
"""About: a command takes a second or two."""


@dataclass(frozen=True)
class Command:
    """One `hutch` command, and another one that is given after a while."""

    arguments: tuple[str, ...]
    pause_s: float
    after_s: float = 0.0
    then: tuple[str, ...] = ()


def command(seed: int, number: int) -> Command:
    draw = random.Random(f"{seed} order {number}")
    arguments, then, after_s = weighted(draw, ORDERS)(draw, number)
    return Command(arguments, draw.uniform(1.0, 4.0), after_s, then)


Typed = tuple[tuple[str, ...], tuple[str, ...], float]


def paused(draw: Draw, number: int) -> Typed:
    agent = draw.choice((*AGENTS, "all"))
    return ("pause", agent), ("unpause", agent), draw.uniform(0.5, 4.0)


def shut_down(draw: Draw, number: int) -> Typed:
    return ("shutdown", draw.choice(AGENTS), *draw.choice(((), ("--stop",)))), (), 0.0


def dead_letters(draw: Draw, number: int) -> Typed:
    drop = ("dead", "drop", "--all", "--yes")
    return draw.choice((("dead", "replay", "--all"), drop, ("dead", "list"))), drop, 1.0


def cancel(draw: Draw, number: int) -> Typed:
    return ("cancel", _one_of(draw, number), "--agent", draw.choice(AGENTS)), (), 0.0


def seen(draw: Draw, number: int) -> Typed:
    shown = ("show", _one_of(draw, number))
    forgotten = ("forget", f"talk-{draw.randrange(SESSIONS)}")
    reads = (("status",), ("runs",), ("dead", "list", "--json"), shown, forgotten)
    return draw.choice(reads), (), 0.0


def _one_of(draw: Draw, number: int) -> str:
    """A task's id, of a volley that may have come by then."""
    return marker(draw.randrange(VOLLEYS_PER_COMMAND * (number + 1)))


ORDERS: Mapping[Callable[[Draw, int], Typed], int] = {
    paused: 4,
    shut_down: 3,
    dead_letters: 3,
    cancel: 2,
    seen: 3,
}


class Commands(threading.Thread):
    """Gives one command after the other, until it is ended."""

    def __init__(self, system: System, ledger: Ledger, seed: int) -> None:
        super().__init__(name="commands", daemon=True)
        self._system = system
        self._ledger = ledger
        self._seed = seed
        self._ending = threading.Event()
        self.faults: list[str] = []
        """Commands that failed by a fault of the product."""
        self.given = 0

    def run(self) -> None:
        for number in count():
            command_ = command(self._seed, number)
            if self._ending.wait(command_.pause_s):
                return
            self.give(*command_.arguments)
            self._ending.wait(command_.after_s)
            if command_.then:
                self.give(*command_.then)

    def end(self) -> None:
        """After the command that is under way, and the one that undoes it."""
        self._ending.set()
        self.join()

    def give(self, *arguments: str) -> None:
        what = f"hutch {' '.join(arguments)}"
        self.given += 1
        try:
            done = self._system.hutch(*arguments, HUTCH_DEBUG="0")
        except subprocess.TimeoutExpired as late:
            self.faults.append(f"{what}: not done after {late.timeout:.0f} s")
            self._ledger.commanded(what, "not done in time")
            return
        self._ledger.commanded(what, f"{done.returncode}: {done.stderr or done.stdout}")
        if any(fault in done.stderr for fault in OURS):
            self.faults.append(f"{what}: {done.stderr.strip()[-500:]}")
