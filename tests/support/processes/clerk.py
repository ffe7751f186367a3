"""An agent whose tools count what they do: `pay` must not run twice, `lookup` may."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.processes.running import System

TOOLS = """
import time
from pathlib import Path

EFFECTS = Path({effects!r})


def pay(order: int, seconds: float) -> str:
    with EFFECTS.open("a") as effects:
        effects.write(f"{{order}}\\n")
    time.sleep(seconds)
    return f"paid {{order}}"


def lookup(order: int, seconds: float, idempotency_key: str) -> str:
    with EFFECTS.open("a") as effects:
        effects.write(f"{{idempotency_key}}\\n")
    time.sleep(seconds)
    return f"found {{order}}"
"""

CLERK = """
name: clerk
workers: [helper]
tools: ["orders.py:pay", {function: "orders.py:lookup", repeatable: true}]
"""

LONG_S = 600
"""Never waited for: its process is killed."""


@dataclass(frozen=True)
class Clerk:
    file: Path

    @property
    def effects(self) -> list[str]:
        """The calls of the tools so far, one a line."""
        return self.file.read_text("utf-8").split() if self.file.exists() else []


def define(system: System, agents: Path) -> Clerk:
    file = agents / "effects"
    (agents / "tools").mkdir()
    (agents / "tools" / "orders.py").write_text(TOOLS.format(effects=str(file)), "utf-8")
    (agents / "clerk.yaml").write_text(CLERK, "utf-8")
    (agents / "helper.yaml").write_text("name: helper", "utf-8")
    system.env["HUTCH_AGENTS"] = str(agents)
    return Clerk(file)


def call(tool: str, seconds: float, order: int = 7) -> str:
    return f'[[call {tool} {{"order": {order}, "seconds": {seconds}}}]]'


def dead_letters(system: System, *filters: str) -> list[dict[str, Any]]:
    """The dead letters, as `hutch dead list` prints them."""
    listed = system.hutch("dead", "list", *filters, "--json")
    assert listed.returncode == 0, listed.stderr
    found: list[dict[str, Any]] = json.loads(listed.stdout)
    return found
