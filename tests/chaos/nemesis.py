"""The faults and their times: a plan that is drawn from a seed, and the code that causes them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile

PAUSE_S = (1.5, 4.0)
"""Between the end of one fault and the next."""


@dataclass(frozen=True)
class Fault:
    """`seconds` is how long it lasts, where it lasts; `which` picks a replica, from 0 to 1."""

    kind: str
    pause_s: float
    seconds: float
    which: float


@dataclass(frozen=True)
class Done:
    """A fault that is over; times are on the monotonic clock."""

    fault: Fault
    began: float
    at: float
    """Its end."""


Hand = Callable[[Fault], None]


@dataclass(frozen=True)
class Kind:
    hand: Hand
    lasts_s: tuple[float, float] = (0.0, 0.0)


def plan(seed: int, kinds: Mapping[str, tuple[float, float]]) -> Iterator[Fault]:
    """Endless, the same for the same seed. Every kind has its turn before one comes again."""
    draw = random.Random(f"{seed} nemesis")
    while True:
        deck = sorted(kinds)
        draw.shuffle(deck)
        for kind in deck:
            yield Fault(kind, draw.uniform(*PAUSE_S), draw.uniform(*kinds[kind]), draw.random())


@dataclass
class Nemesis:
    kinds: Mapping[str, Kind]
    say: Callable[[str], None]
    done: list[Done] = field(default_factory=list)

    def rage(self, seed: int, seconds: float) -> None:
        """One fault after the other, until the time is over; the last has ended by then."""
        until = time.monotonic() + seconds
        faults = plan(seed, {name: kind.lasts_s for name, kind in self.kinds.items()})
        for fault in takewhile(lambda it: time.monotonic() + it.pause_s < until, faults):
            time.sleep(fault.pause_s)
            began = time.monotonic()
            self.kinds[fault.kind].hand(fault)
            self.done.append(Done(fault, began, time.monotonic()))
            self.say(f"{fault.kind}: {self.done[-1].at - began:.1f} s")
        time.sleep(max(0.0, until - time.monotonic()))
