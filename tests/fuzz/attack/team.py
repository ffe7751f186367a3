"""The agents that are attacked: a manager, odd tools, a swarm, one without tool calls."""

from __future__ import annotations

import shutil
from pathlib import Path

TOOLS = Path(__file__).with_name("odd_tools.py")

TIMEOUT_S = 20
"""Each run's deadline, so that all tasks are answered soon after the last attack."""
LIMITS = f"limits: {{timeout: {TIMEOUT_S}s, turns: 6, concurrency: 4}}\n"

REPEATABLE = (
    "foreign",
    "interrupt",
    "leave",
    "unprintable",
    "unnamed",
    "stops",
    "lines",
    "slow",
    "huge",
    "deep",
    "circle",
    "stray",
    "halves",
    "raw",
    "numbers",
    "several",
    "recurse",
    "waits",
    "cancels",
    "plain",
)
ONCE = ("once",)
"""Not repeatable: found begun and not ended, such a call ends its run in doubt."""

STRANGER = "stranger"
"""A worker whose mailbox no process of ours serves; see `attackers`."""
REPLICAS = {"boss": 2, "hand": 2, "clerk": 1, "poet": 1, "scribe": 1}
SWARM = "ring"


def build(folder: Path) -> Path:
    """The agents' files; returns their folder."""
    agents = folder / "agents"
    (agents / "tools").mkdir(parents=True)
    shutil.copy(TOOLS, agents / "tools" / "odd.py")
    for name, text in definitions().items():
        (agents / f"{name}.yaml").write_text(f"name: {name}\n{LIMITS}{text}", "utf-8")
    return agents


def definitions() -> dict[str, str]:
    tools = [f"{{function: 'odd.py:{name}', repeatable: true}}" for name in REPEATABLE]
    tools += [f"'odd.py:{name}'" for name in ONCE]
    return {
        "boss": f"workers: [hand, clerk, {STRANGER}]\n",
        STRANGER: "",
        "hand": f"tools: [{', '.join(tools)}]\n",
        "clerk": "tool_protocol: schema\ntools: ['odd.py:plain']\n",
        "poet": f"swarm: {SWARM}\non_peer: react\ntick: 10s\n",
        "scribe": f"swarm: {SWARM}\nworkers: [clerk]\n",
    }
