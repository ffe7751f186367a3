"""The figures of docs/bench.md: `make bench`, or `python -m tests.bench [--quick] [PART …]`.

One machine holds the load, the broker, the store and what is measured; nothing else should run
beside it. All parts together take about twenty minutes. `--quick` leaves five of them out,
measures shorter, and takes five. Only a whole run writes: the generated part of docs/bench.md, and
the ratios that the bench's test compares with.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from rich.console import Console

from tests.bench import document
from tests.bench.machine import Machine
from tests.bench.parts import (
    broadcast,
    demo,
    first_task,
    first_token,
    gateway,
    rates,
    shared_limits,
    stored_runs,
    up,
    waiting,
)
from tests.bench.rig import Found, Rig
from tests.support.brokers.rabbitmq import container
from tests.support.stores import postgresql as stores

PARTS: dict[str, Callable[[Rig], Found]] = {
    "rates": rates.measure,
    "waiting": waiting.measure,
    "first_task": first_task.measure,
    "up": up.measure,
    "demo": demo.measure,
    "stored_runs": stored_runs.measure,
    "broadcast": broadcast.measure,
    "first_token": first_token.measure,
    "gateway": gateway.measure,
    "shared_limits": shared_limits.measure,
}
NOT_QUICK = {"stored_runs", "broadcast", "first_token", "gateway", "shared_limits"}
WHOLE = partial(Rig, lasts_s=3, least_rounds=2, most_rounds=5, rounds_s=45)
QUICK = partial(Rig, lasts_s=2, least_rounds=1, most_rounds=2, rounds_s=10)
say = Console(highlight=False, soft_wrap=True, markup=False).print


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("python -m tests.bench")
    parser.add_argument("--quick", action="store_true", help="most parts, shorter")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    chosen = parser.parse_args(arguments)
    names = chosen.parts or [it for it in PARTS if not (chosen.quick and it in NOT_QUICK)]
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    with container() as server, stores.server() as postgresql:
        rig, machine = (QUICK if chosen.quick else WHOLE)(server, postgresql), Machine()
        found = measured(rig, machine, names)
    generated = document.lines(rig, machine, list(found.values()))
    say("\n".join(["", *generated]))
    if len(found) < len(names):
        say("A part has failed: nothing is written.")
        return 1
    if len(found) == len(PARTS) and not chosen.quick:
        document.write(generated)
        document.write_reference(found["rates"].ratios)
        say(f"Written: {document.FILE.name}, {document.REFERENCE.name}.")
    return 0


def measured(rig: Rig, machine: Machine, names: Iterable[str]) -> dict[str, Found]:
    """What each part has found; a part that fails is reported, and is not in it."""
    found: dict[str, Found] = {}
    machine.sample()
    for name in names:
        began = time.monotonic()
        try:
            found[name] = PARTS[name](rig)
        except Exception:  # noqa: BLE001 - minutes of other figures would be lost
            traceback.print_exc()
        machine.sample()
        say(f"{name}: {time.monotonic() - began:.0f} s")
        for row in found[name].rows if name in found else ():
            say(f"  {row.what}: {row.figure}")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
