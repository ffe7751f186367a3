"""The agents that chaos plays with: a manager, a worker, and a tool that leaves marks."""

from __future__ import annotations

from pathlib import Path

MANAGER, WORKER = "boss", "hand"
REPLICAS = {MANAGER: 2, WORKER: 3}
MODEL_CALLS = 4
"""Per task: two of the manager, two of the worker."""
MODEL_S = 0.15
"""A model call's time: long enough for a process to be killed during one."""

TOOL = '''
import os
import time
from pathlib import Path


def stamp(step: str) -> str:
    """Leave a mark for this step."""
    with (Path(os.environ["CHAOS_MARKS"]) / step).open("a") as marks:
        marks.write("x")
    time.sleep(0.05)  # its process can die between the effect and the result
    return f"stamped {step}"
'''

STAMP = "{function: 'stamp.py:stamp', repeatable: true}"
"""Repeatable: otherwise a process that dies during a call would leave the run in doubt."""

# One slot each: a process that dies takes one model call with it, and no more.
DEFINITIONS = {
    MANAGER: f"name: {MANAGER}\nworkers: [{WORKER}]\nlimits: {{concurrency: 1}}\n",
    WORKER: f"name: {WORKER}\ntools: [{STAMP}]\nlimits: {{concurrency: 1}}\n",
}


def build(folder: Path) -> Path:
    """The agents' files; returns their folder."""
    agents = folder / "agents"
    (agents / "tools").mkdir(parents=True)
    (agents / "tools" / "stamp.py").write_text(TOOL, "utf-8")
    for name, text in DEFINITIONS.items():
        (agents / f"{name}.yaml").write_text(text, "utf-8")
    return agents


def content(task: str, model_s: float = MODEL_S) -> str:
    """The manager's task: its worker stamps it, and both then answer with its name."""
    latency = f"[[latency {model_s}]]"
    stamped = f'{latency}[[call stamp {{\\"step\\": \\"{task}\\"}}]]'
    prompt = f"{task}: {stamped}[[then]]{latency}[[reply stamped {task}]]"
    asked = f'{latency}[[call {WORKER} {{"prompt": "{prompt}"}}]]'
    return f"{task}: {asked}[[then]]{latency}[[reply {answer(task)}]]"


def answer(task: str) -> str:
    return f"{task} is done"
