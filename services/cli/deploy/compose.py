"""Agents that the compose file beside their folder does not start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from services.cli.places import agents_compose_file, has_service

SERVICE = """\
  {name}:
    <<: *agent
    command: [python, -m, services.agent, {name}]"""
"""A service of the compose file that 'hutch init' writes."""


def without_service(folder: Path, agents: Iterable[str]) -> Iterator[str]:
    """Advice with the lines to add; none if no compose file starts agents."""
    file = agents_compose_file(folder.resolve().parent)
    if file is None:
        return
    for name in sorted(agents):
        if not has_service(file, name):
            lines = SERVICE.format(name=name)
            yield f"{file.name} has no service for {name}: add to its services\n{lines}"
