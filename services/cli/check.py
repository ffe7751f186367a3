"""`hutch check`: faults of the agents' files, and advice on them and on their manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from shared.definitions import Definitions


def check() -> None:
    """Check the folder of agents: a fault ends it with exit code 2; advice changes nothing."""
    from services.cli import manifests, output
    from services.cli.advice import advice
    from shared.definitions import load
    from shared.settings import Settings

    folder = Settings.from_environment().agents
    known = load(folder)
    check_tools(folder, known)
    for line in [*advice(known), *manifests.disagreements(folder, known)]:
        output.say(f"advice: {line}")
    number = len(known)
    output.say(f"{number} agent{'' if number == 1 else 's'} in {folder}: no fault")


def check_tools(folder: Path, known: Definitions) -> None:
    """Load every tool; raises one `SettingsError` with a line for each that can't be."""
    from shared import tools
    from shared.errors import SettingsError

    faults = []
    for name, definition in known.items():
        for tool in definition.tools:
            try:
                tools.load(folder, tool.function)
            except SettingsError as error:
                faults.append(f"{folder / name}.yaml: tools: {error}")
    if faults:
        raise SettingsError("\n".join(faults))
