"""When 'hutch up' is ready: the first time that each agent consumes and the gateway serves, or that
they have ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from shared.contract.topology import GATEWAY

_READY = re.compile(r'"message": "({0})"|\] ({0})\b'.format("consuming|the gateway is served"))
"""The line, as JSON or as on a terminal, of an agent that takes tasks, or of the gateway."""
_GIVEN_UP = "not started again"


class Readiness:
    """Follows the lines of the processes, and says once that the agents are ready."""

    def __init__(
        self, agents: Sequence[str], say: Callable[[str], None], gateway: str | None = None
    ) -> None:
        """`gateway` is the address of the gateway; None: none runs."""
        self._awaited = [*agents, *([] if gateway is None else [GATEWAY])]
        self._ready: list[str] = []
        self._say = say
        self._gateway = gateway

    def see(self, name: str, line: str) -> None:
        if name not in self._awaited:
            return
        if _READY.search(line):
            self._ready.append(name)
        elif _GIVEN_UP not in line:
            return
        self._awaited.remove(name)
        agents = set(self._ready) - {GATEWAY}
        if agents and not self._awaited:
            self._say(f'ready: hutch ask {min(agents)} "…" in another terminal')
            if GATEWAY in self._ready:
                self._say(f"page and API: {self._gateway}")
