"""What a person orders meanwhile, by the command line: one order after the other."""

from __future__ import annotations

import subprocess
import threading
from itertools import count

from tests.fuzz.ledger import Ledger
from tests.fuzz.plan import order
from tests.running import House

OURS = ("a fault of ours", "Traceback")
"""What no command may say, whatever stands in the store and among the dead letters: it shows a
trace of an error that it can tell only where it was asked to debug."""


class Orders(threading.Thread):
    def __init__(self, house: House, ledger: Ledger, seed: int) -> None:
        super().__init__(name="orders", daemon=True)
        self._house = house
        self._ledger = ledger
        self._seed = seed
        self._ending = threading.Event()
        self.faults: list[str] = []
        """Commands that failed by a fault of the product."""
        self.given = 0

    def run(self) -> None:
        for number in count():
            order_ = order(self._seed, number)
            if self._ending.wait(order_.pause_s):
                return
            self.give(*order_.arguments)
            self._ending.wait(order_.after_s)
            if order_.then:
                self.give(*order_.then)

    def end(self) -> None:
        """After the order that is under way, and what undoes it."""
        self._ending.set()
        self.join()

    def give(self, *arguments: str) -> None:
        what = f"hutch {' '.join(arguments)}"
        self.given += 1
        try:
            done = self._house.hutch(*arguments, HUTCH_DEBUG="0")
        except subprocess.TimeoutExpired as late:
            self.faults.append(f"{what}: not done after {late.timeout:.0f} s")
            self._ledger.ordered(what, "not done in time")
            return
        self._ledger.ordered(what, f"{done.returncode}: {done.stderr or done.stdout}")
        if any(fault in done.stderr for fault in OURS):
            self.faults.append(f"{what}: {done.stderr.strip()[-500:]}")
