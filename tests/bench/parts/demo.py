"""The CPU of `hutch demo` and all its processes, as multiples of the machine's loop."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys

from tests.bench.machine import loop
from tests.bench.rig import Found, Rig, Row
from tests.support.processes.running import System
from tests.support.repository import REPOSITORY

DEMO_S = 300.0


def measure(rig: Rig) -> Found:
    """The broker is there already, and is not counted."""
    with rig.system() as system:
        rounds = [_round(system) for _ in rig.rounds()]
    return Found(
        [
            Row(
                "`hutch demo`: CPU, as multiples of ten million additions",
                f"{statistics.median(rounds):.1f} times",
                "≤ 6 times",
            )
        ]
    )


def _round(system: System) -> float:
    before_s, began = loop().cpu_s, _children_s()
    subprocess.run(
        [sys.executable, "-m", "services.cli", "demo"],
        env=system.env | {"PYTHONPATH": str(REPOSITORY)},
        cwd=system.logs,
        capture_output=True,
        timeout=DEMO_S,
        check=True,
    )
    used_s = _children_s() - began
    return used_s / statistics.mean([before_s, loop().cpu_s])


def _children_s() -> float:
    """CPU of all ended children, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
