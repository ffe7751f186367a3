"""`hutch k8s`: an agent's manifest for Kubernetes."""

from __future__ import annotations

from typing import Annotated

import typer

from services.cli.agents import known_names
from services.cli.deploy import manifests
from shared.definitions.loader import read_folder
from shared.settings.environment import Settings


def k8s(
    agent: Annotated[str, typer.Argument(help="The agent's name.", autocompletion=known_names)],
) -> None:
    """Print an agent's Deployment and disruption budget, for k8s/base/AGENT.yaml.

    A fault in this agent's file is an error; faults in other agents' files are ignored.
    """
    definition = read_folder(Settings.from_environment().agents).definition(agent)
    typer.echo(manifests.manifest(definition.name), nl=False)
