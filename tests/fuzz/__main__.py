"""`python -m tests.fuzz [--seconds 60] [--seed N] [--store sqlite|postgresql] [--show N]`."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.chaos.ground import GROUNDS
from tests.fuzz.draws.plan import volley
from tests.fuzz.game import play

SECONDS = 60.0
say = Console(highlight=False, soft_wrap=True).print


def main() -> int:
    """0 when every promise was kept, 1 when not; then logs and journal are kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of attack")
    parser.add_argument("--seed", type=int, default=None, help="the same attacks, in this order")
    parser.add_argument("--store", choices=GROUNDS, default="sqlite")
    parser.add_argument("--show", type=int, default=None, help="print one volley whole, and end")
    asked = parser.parse_args()
    seed = random.randrange(10**6) if asked.seed is None else asked.seed
    if asked.show is not None:
        for message in volley(seed, asked.show):
            say(repr(message), markup=False)
        return 0
    say(f"fuzz: seed {seed}, {asked.seconds:.0f} s")
    folder = Path(tempfile.mkdtemp(prefix="hutch-fuzz-"))
    began = time.monotonic()
    report = play(
        asked.store,
        asked.seconds,
        seed,
        folder,
        lambda what: say(f"{time.monotonic() - began:6.1f} s  {what}", markup=False),
    )
    table = Table(show_header=False)
    for row in report.rows:
        table.add_row(*row)
    say(table)
    for violation in report.violations:
        say(f"VIOLATED: {violation}", markup=False)
    if report.violations:
        say(f"seed {seed}; logs and journal in {folder}; a message: --seed {seed} --show N")
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
