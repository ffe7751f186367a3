"""`python -m tests.chaos [--seconds 60] [--seed N] [--store sqlite|postgresql]`."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.chaos.game import play
from tests.chaos.ground import GROUNDS
from tests.chaos.report import Report

SECONDS = 60.0
say = Console(highlight=False, soft_wrap=True).print


def main() -> int:
    """0 when every promise was kept, 1 when not; then the processes' logs are kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of load and faults")
    parser.add_argument("--seed", type=int, default=None, help="the same faults in the same order")
    parser.add_argument("--store", choices=GROUNDS, default="sqlite")
    asked = parser.parse_args()
    seed = random.randrange(10**6) if asked.seed is None else asked.seed
    say(f"chaos: seed {seed}, {asked.seconds:.0f} s")
    folder = Path(tempfile.mkdtemp(prefix="hutch-chaos-"))
    began = time.monotonic()
    report = play(
        asked.store,
        asked.seconds,
        seed,
        folder,
        lambda what: say(f"{time.monotonic() - began:6.1f} s  {what}", markup=False),
    )
    show(report)
    for violation in report.violations:
        say(f"VIOLATED: {violation}", markup=False)
    if report.violations:
        say(f"seed {seed}; logs in {folder}")
    return 1 if report.violations else 0


def show(report: Report) -> None:
    table = Table(show_header=False)
    for row in report.rows:
        table.add_row(*row)
    say(table)


if __name__ == "__main__":
    sys.exit(main())
