"""Agents of a test's own, their states, and a supervisor for them."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

from shared.contract.topology import CONTROL
from tests.support.client import Client
from tests.support.processes.running import POLL_S, System

ASK = '[[call bob {"prompt": "[[latency 2]]Write an email."}]]'


POISON = '''
import os, signal

def die() -> str:
    """Kills the process that calls it."""
    os.kill(os.getpid(), signal.SIGKILL)
    return "never said"
'''


def define(agents: Path, system: System, **files: str) -> None:
    """Agents of the test's own instead of the shipped ones."""
    for name, fields in files.items():
        (agents / f"{name}.yaml").write_text(f"name: {name}\n{fields}\n", "utf-8")
    system.env["HUTCH_AGENTS"] = str(agents)


def calling(worker: str, prompt: str) -> str:
    return f"[[call {worker} {json.dumps({'prompt': prompt})}]]"


def tree(system: System, agents: Path) -> None:
    """top asks mid, mid asks low, and low takes its time."""
    define(agents, system, top="workers: [mid]", mid="workers: [low]", low="")
    system.agents("top", "mid", "low")


def states(system: System, store: str = "") -> dict[str, str]:
    """The status or, where it is open, the state of each agent's only run."""
    path = (store or system.env["HUTCH_STORE"]).removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as reading:
        found = reading.execute("SELECT agent, coalesce(status, state) FROM runs")
        return dict(found.fetchall())


def lose_control_messages(pika: Client) -> None:
    """An exchange that was deleted and declared again has no bindings."""
    pika.channel.exchange_delete(CONTROL)
    pika.channel.exchange_declare(CONTROL, "topic", durable=True)


@contextmanager
def supervised(system: System) -> Iterator[list[int]]:
    """One Bob, started again whenever he dies; the exit codes that he has had."""
    [bob] = system.agents("bob")
    codes: list[int] = []
    over = threading.Event()

    def keep() -> None:
        codes.append(bob.process.wait())
        while not over.is_set():
            codes.append(system.start("services.agent", "bob").process.wait())

    keeper = threading.Thread(target=keep)
    keeper.start()
    try:
        yield codes
    finally:
        over.set()
        while keeper.is_alive():
            system.children[-1].process.terminate()
            keeper.join(POLL_S)


def http_get(port: int, what: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", f"/{what}")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
