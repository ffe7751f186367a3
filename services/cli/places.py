"""Which store and broker a command uses, in words, and how to reach those of a compose stack."""

from __future__ import annotations

from pathlib import Path

from services.cli.compose import agents_compose_file, has_service
from services.cli.machine.home import HOME, broker_url
from shared.settings.environment import Settings
from shared.settings.secrets import shown_url

IN_COMPOSE = "docker compose run --rm operator hutch"
"""The beginning of a command in the containers' network, with their store and their broker."""

NAMED_STORE = {"store_url", "store_url_file"}
"""Settings of a system that neither 'hutch up' nor compose has started in this folder."""


def store_place(settings: Settings, command: str = "…") -> str:
    """The store in words, and how to give `command` to that of a compose stack, if one can run."""
    place = f"the store {shown_url(settings.store())}"
    return f"{place}; {hint}" if (hint := compose_hint(settings, command)) else place


def compose_hint(settings: Settings, command: str = "…") -> str:
    """How to give a command to the system that compose runs in this folder; empty if there is none.

    There can be one if a compose file here starts agents, no store is set, and 'hutch up' does not
    run here. Compose itself is not asked: that takes a second.
    """
    if settings.model_fields_set & NAMED_STORE or broker_url(HOME):
        return ""
    if agents_compose_file(Path()) is None:
        return ""
    return f"if compose runs the agents of this folder: '{IN_COMPOSE} {command}'"


def start_hint(settings: Settings, agent: str) -> str:
    """How to start an agent, by what runs or can run the agents of this folder if it is known."""
    if broker_url(HOME):
        return f"start it: 'hutch up {agent}'"
    file = agents_compose_file(Path())
    if file is None or settings.model_fields_set & NAMED_STORE:
        return "start it"
    if has_service(file, agent):
        return f"start it: 'docker compose up -d {agent}'"
    return f"{file.name} has no service for it: 'hutch check' shows what to add"
