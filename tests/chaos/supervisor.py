"""Keeps the agents' processes running, as compose does: who ends is started again."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass, field

from tests.support.processes.running import Child, System

POLL_S = 0.1
RESTART_S = 0.5
"""Before a process that has ended is started again."""


@dataclass
class Place:
    """One replica's: the process that is there now, and when the next may be started."""

    agent: str
    child: Child
    due_at: float = 0.0


@dataclass(frozen=True)
class Ended:
    """A process that ended by itself or after a command; `output` are its last lines."""

    agent: str
    code: int
    output: str

    def __str__(self) -> str:
        return f"{self.agent} ({self.code}): {self.output}"


@dataclass
class Supervisor:
    system: System
    killed: int = 0
    frozen: int = 0
    ended: list[Ended] = field(default_factory=list)
    _places: list[Place] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ending: threading.Event = field(default_factory=threading.Event)
    _job: threading.Thread | None = None

    def start(self, replicas: dict[str, int]) -> None:
        for agent, number in replicas.items():
            children = self.system.agents(*[agent] * number)
            self._places += [Place(agent, child) for child in children]
        self._job = threading.Thread(target=self._watch, daemon=True)
        self._job.start()

    def end(self) -> None:
        """Start no process any more."""
        self._ending.set()
        assert self._job is not None
        self._job.join()

    def kill(self, agent: str, which: float) -> None:
        """SIGKILL to one replica that lives; `which` is its place among them, from 0 to 1."""
        with self._lock:
            if living := self._living(agent):
                self._kill(living[int(which * len(living))])

    def kill_all(self, agent: str) -> None:
        with self._lock:
            for place in self._living(agent):
                self._kill(place)

    def freeze(self, agent: str, which: float, seconds: float) -> None:
        """STOP, and CONT after so many seconds."""
        with self._lock:
            living = self._living(agent)
            pid = living[int(which * len(living))].child.process.pid if living else None
        if pid is None:
            return
        self.frozen += 1
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)

    def _living(self, agent: str) -> list[Place]:
        return [it for it in self._places if it.agent == agent and it.child.process.poll() is None]

    def _kill(self, place: Place) -> None:
        self.killed += 1
        place.child.kill()
        place.due_at = time.monotonic() + RESTART_S

    def _watch(self) -> None:
        while not self._ending.wait(POLL_S):
            with self._lock:
                for place in self._places:
                    self._see_to(place)

    def _see_to(self, place: Place) -> None:
        code = place.child.process.poll()
        if code is None:
            return
        if code != -signal.SIGKILL and not place.due_at:
            self.ended.append(Ended(place.agent, code, place.child.last_output))
            place.due_at = time.monotonic() + RESTART_S
        if time.monotonic() >= place.due_at:
            place.child = self.system.start("services.agent", place.agent)
            place.due_at = 0.0
