"""`hutch check`: faults in the agents' files, and advice on them and on their manifests."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from services.cli import compose, output
from services.cli.deploy import manifests
from services.cli.machine.home import HOME
from services.cli.up.provider import served_here
from shared.client.system.advice import advice
from shared.client.system.loading import Loaded, loaded
from shared.definitions.loader import read_folder
from shared.errors import SettingsError
from shared.settings.environment import Settings


def check() -> None:
    """Check the agents' files; a fault means exit code 2, advice does not change it."""
    settings = Settings.from_environment()
    folder = read_folder(settings.agents)
    with ThreadPoolExecutor() as threads:
        results = [*threads.map(partial(loaded, folder), folder.files)]
    if faults := [it for it in results if isinstance(it, str)]:
        raise SettingsError("\n".join(faults))
    found = [it for it in results if isinstance(it, Loaded)]
    agents = {it.definition.name: it.definition for it in found}
    models = served_here(HOME) is None
    advised = [
        *advice(agents, settings, models=models),
        *(line for it in found for line in it.advice),
        *compose.without_service(folder.path, agents),
    ]
    for line in [*advised, *manifests.disagreements(folder.path, agents)]:
        output.say(f"advice: {line}")
    number = len(agents)
    output.say(f"{number} agent{'' if number == 1 else 's'} in {folder.path}: no fault")
