"""When the agents of 'hutch up' are ready: the first time that each consumes, or has ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_CONSUMING = re.compile(r'"message": "consuming"|\] consuming\b')
"""An agent's line, as JSON or as on a terminal, when it takes tasks."""
_GIVEN_UP = "not started again"


class Readiness:
    """Follows the lines of the processes, and says once that the agents are ready."""

    def __init__(self, agents: Sequence[str], say: Callable[[str], None]) -> None:
        self._awaited = list(agents)
        self._consuming: list[str] = []
        self._say = say

    def see(self, name: str, line: str) -> None:
        if name not in self._awaited:
            return
        if _CONSUMING.search(line):
            self._consuming.append(name)
        elif _GIVEN_UP not in line:
            return
        self._awaited.remove(name)
        if self._consuming and not self._awaited:
            self._say(f'ready: hutch ask {min(self._consuming)} "…" in another terminal')
