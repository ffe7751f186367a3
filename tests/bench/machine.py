"""The machine's speed and noise: figures are only comparable beside them."""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass, field

ADDITIONS = """
total = 0
for number in range(10_000_000):
    total += number
"""
"""As a script has them, with global variables."""


@dataclass(frozen=True)
class Loop:
    cpu_s: float
    wall_s: float


def loop() -> Loop:
    """Ten million additions in this interpreter."""
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    exec(ADDITIONS, {})
    return Loop(time.process_time() - cpu_s, time.perf_counter() - wall_s)


@dataclass
class Machine:
    """Loops and load averages, taken before, between and after the parts."""

    loops: list[Loop] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)

    def sample(self) -> None:
        self.loads.append(os.getloadavg()[0])
        self.loops.append(loop())

    def description(self) -> str:
        walls = sorted(it.wall_s for it in self.loops)
        cpus = [it.cpu_s for it in self.loops]
        noise = (walls[-1] - walls[0]) / statistics.median(walls)
        return (
            f"Ten million additions take {statistics.median(cpus):.2f} s of CPU on one of "
            f"{os.cpu_count()} cores; {len(walls)} such loops took {walls[0]:.2f} to "
            f"{walls[-1]:.2f} s, a spread of {noise:.0%} of the median; load average "
            f"{min(self.loads):.1f} to {max(self.loads):.1f}."
        )
