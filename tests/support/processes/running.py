"""Our processes as real ones: with a broker, a store of their own and the scripted model."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.repository import REPOSITORY

PATIENCE_S = 60.0
"""For a start or an end on a machine that does much else; both take about a second."""
POLL_S = 0.05


def until(what: Callable[[], object], patience_s: float = PATIENCE_S) -> float:
    """Poll until this is true; the seconds that it took."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < patience_s, "it never came true"
        time.sleep(POLL_S)
    return time.monotonic() - began


LAST_BYTES = 4_000
FIRST_CHARACTERS = 100_000
"""Characters at the start of a log that contain the process's name and ports."""


class Child:
    """One process; its output goes to a file."""

    def __init__(
        self, command: list[str], env: Mapping[str, str], log: Path, cwd: Path = REPOSITORY
    ) -> None:
        self.name = log.stem
        self._log = log
        with log.open("wb") as sink:
            self.process = subprocess.Popen(
                command, env=dict(env), stdout=sink, stderr=subprocess.STDOUT, cwd=cwd
            )

    @property
    def output(self) -> str:
        return self._log.read_text("utf-8", "replace")

    @property
    def last_output(self) -> str:
        """The last part of its output, without white space around it."""
        with self._log.open("rb") as file:
            file.seek(max(0, self._log.stat().st_size - LAST_BYTES))
            return file.read().decode("utf-8", "replace").strip()

    @property
    def first_output(self) -> str:
        """The first part of its output, however long its log is by now."""
        with self._log.open(encoding="utf-8", errors="replace") as file:
            return file.read(FIRST_CHARACTERS)

    def wait_for(self, pattern: str, patience_s: float = PATIENCE_S) -> re.Match[str]:
        """Wait for this pattern in its output; fails when it ends before, or never prints it."""
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            ended = self.process.poll() is not None
            if match := re.search(pattern, self.output):
                return match
            assert not ended, f"it ended without '{pattern}' in its output:\n{self.output}"
            time.sleep(POLL_S)
        raise AssertionError(f"'{pattern}' never came in its output:\n{self.output}")

    def count(self, pattern: str) -> int:
        """How often this pattern is in its output."""
        return len(re.findall(pattern, self.output))

    def ended(self) -> int:
        """Wait for its end; the exit code."""
        return self.process.wait(PATIENCE_S)

    def end(self) -> int:
        """Ask it to drain, and wait."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class System:
    """Starts our processes on one broker and one store; `env` is what they all get."""

    env: dict[str, str]
    logs: Path
    children: list[Child] = field(default_factory=list)
    cwd: Path = REPOSITORY
    """Where they run. In another folder, `env` needs a PYTHONPATH."""

    def start(self, *arguments: str, **env: str) -> Child:
        """`python -m` with these arguments; `env` overrides the system's."""
        return self.start_by((), *arguments, **env)

    def start_by(self, command: tuple[str, ...], *arguments: str, **env: str) -> Child:
        """`start`, by a command that runs another."""
        return self._started([*command, sys.executable, "-m"], arguments, env)

    def start_script(self, script: str, *arguments: str) -> Child:
        """A script of the tests, with these arguments."""
        return self._started([sys.executable, script], arguments, {})

    def _started(
        self, command: list[str], arguments: tuple[str, ...], env: Mapping[str, str]
    ) -> Child:
        log = self.logs / f"{len(self.children)}-{'-'.join(arguments)}.log"
        child = Child([*command, *arguments], {**self.env, **env}, log, self.cwd)
        self.children.append(child)
        return child

    def model(self) -> Child:
        """The scripted model on a free port; agents that start later speak to it."""
        child = self.start("services.scripted", HUTCH_SCRIPTED_PORT="0")
        served = child.wait_for(r'the scripted model is served".*"port": (\d+)')
        self.env["OPENAI_BASE_URL"] = f"http://127.0.0.1:{served[1]}/v1"
        return child

    def agents(self, *names: str) -> list[Child]:
        """These agents, consuming."""
        children = [self.start("services.agent", name) for name in names]
        for child in children:
            child.wait_for("consuming")
        return children

    def freeze(self, child: Child) -> None:
        """Stop it, but not in the middle of a commit: SQLite's lock would stop all processes."""
        until(lambda: self._frozen(child))

    def _frozen(self, child: Child) -> bool:
        child.process.send_signal(signal.SIGSTOP)
        file = self.env["HUTCH_STORE"].removeprefix("sqlite:///")
        try:
            with closing(sqlite3.connect(file, timeout=1, isolation_level=None)) as store:
                store.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            child.process.send_signal(signal.SIGCONT)
            return False
        return True

    def hutch(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """The command line, to its end."""
        command = [sys.executable, "-m", "services.cli", *arguments]
        return subprocess.run(
            command,
            env=self.env | env,
            cwd=self.cwd,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )


@contextmanager
def system(broker_url: str, folder: Path, agents: Path = REPOSITORY / "agents") -> Iterator[System]:
    """Processes with a SQLite store in `folder`, not migrated yet; none outlives the block."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OPENAI_")}
    env = kept | {
        "RABBITMQ_URL": broker_url,
        "HUTCH_STORE": f"sqlite:///{folder / 'hutch.db'}",
        "HUTCH_AGENTS": str(agents),
        "HUTCH_LOG": "json",
        "HUTCH_DRAIN_S": "5",
        "OPENAI_MODEL": "scripted",
    }
    running = System(env, folder)
    try:
        yield running
    finally:
        for child in running.children:
            if child.process.poll() is None:
                child.process.terminate()
        for child in running.children:
            try:
                child.ended()
            except subprocess.TimeoutExpired:
                child.kill()
