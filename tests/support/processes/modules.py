"""An agent that lists its modules: `python -m tests.support.processes.modules NAME`.

After each SIGUSR1 it prints the names of all modules that are loaded by then, in one line.
"""

from __future__ import annotations

import signal
import sys

from services.agent.__main__ import main
from shared.process.runtime import exit_now

LISTED = "loaded modules: "


def _list(_: int, __: object) -> None:
    sys.stdout.write(f"{LISTED}{' '.join(sorted(sys.modules))}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, _list)
    exit_now(main())
