"""`hutch k8s`: manifests for Kubernetes."""

from __future__ import annotations

from typing import Annotated

import typer

from services.cli import output
from services.cli.agents import known_names
from services.cli.deploy import manifests, overlays
from shared.definitions.loader import load, read_folder
from shared.settings.environment import Settings


def k8s(
    agent: Annotated[
        str | None,
        typer.Argument(
            help="Print only this agent's manifest.",
            show_default="write all files",
            autocompletion=known_names,
        ),
    ] = None,
) -> None:
    """Write all manifests to k8s/base and k8s/overlays; or print that of one agent.

    The folder k8s is beside the agents' folder. Existing files are overwritten, and so is the
    agents' Kustomization: changes of your own belong in k8s/kustomization.yaml, which is not
    written.

    With AGENT, the agent's Deployment and disruption budget are printed, the content of
    k8s/base/AGENT.yaml. Faults in other agents' files are then ignored.
    """
    folder = Settings.from_environment().agents
    if agent is not None:
        definition = read_folder(folder).definition(agent)
        typer.echo(manifests.manifest(definition.name), nl=False)
        return
    agents = load(folder)
    written = overlays.write(folder, agents)
    output.say(f"wrote base and overlays for {', '.join(sorted(agents))} to {written}")
