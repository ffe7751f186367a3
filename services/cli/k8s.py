"""`hutch k8s`: an agent for Kubernetes."""

from __future__ import annotations

from typing import Annotated

import typer


def k8s(agent: Annotated[str, typer.Argument(help="Its name.")]) -> None:
    """Print an agent's Deployment and disruption budget, for k8s/base/AGENT.yaml."""
    from services.cli import manifests
    from shared.definitions import load
    from shared.errors import SettingsError
    from shared.settings import Settings

    folder = Settings.from_environment().agents
    known = load(folder)
    if agent not in known:
        raise SettingsError(f"no agent '{agent}' in '{folder}'; known: {', '.join(known)}")
    typer.echo(manifests.of(agent), nl=False)
