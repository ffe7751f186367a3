"""The compose file of a folder of agents, and the agents that it does not start."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

COMPOSE_FILES = ("docker-compose.yml", "docker-compose.yaml", "compose.yml", "compose.yaml")
SERVICE = """\
  {name}:
    <<: *agent
    command: [python, -m, services.agent, {name}]"""
"""An agent's service in the compose file that 'hutch init' writes."""


def agents_compose_file(folder: Path) -> Path | None:
    """The folder's compose file, if it starts agents."""
    return next((it for name in COMPOSE_FILES if _starts_agents(it := folder / name)), None)


def has_service(file: Path, agent: str) -> bool:
    """Whether a service of the compose file starts the agent."""
    started = rf"services\.agent[\s,\"']+{re.escape(agent)}(?![\w-])"
    return re.search(started, file.read_text("utf-8")) is not None


def _starts_agents(file: Path) -> bool:
    try:
        return "services.agent" in file.read_text("utf-8")
    except (OSError, UnicodeError):
        return False


def without_service(folder: Path, agents: Iterable[str]) -> Iterator[str]:
    """Advice with the lines to add; none if the compose file beside the agents' folder starts
    none."""
    file = agents_compose_file(folder.resolve().parent)
    if file is None:
        return
    for name in sorted(agents):
        if not has_service(file, name):
            yield f"{file.name} has no service for {name}: add to its services\n" + SERVICE.format(
                name=name
            )
