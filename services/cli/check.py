"""`hutch check`: faults of the agents' files, and advice on them and on their manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.folder import Folder


def check() -> None:
    """Check the folder of agents: a fault ends it with exit code 2; advice changes nothing."""
    import asyncio

    from services.cli import manifests, output
    from services.cli.advice import advice
    from shared.errors import SettingsError
    from shared.folder import read_folder
    from shared.settings import Settings

    folder = read_folder(Settings.from_environment().agents)
    if faults := asyncio.run(_faults(folder)):
        raise SettingsError("\n".join(faults))
    for line in [*advice(folder.found), *manifests.disagreements(folder.path, folder.found)]:
        output.say(f"advice: {line}")
    number = len(folder.found)
    output.say(f"{number} agent{'' if number == 1 else 's'} in {folder.path}: no fault")


async def _faults(folder: Folder) -> list[str]:
    """Why each agent that can't start can't, as its process would say it."""
    from shared.errors import SettingsError
    from shared.folder import equipped

    faults = []
    for name in folder.files:
        try:
            await equipped(folder, name)
        except SettingsError as error:
            faults.append(str(error))
    return faults
