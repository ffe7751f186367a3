"""`hutch check`: faults in the agents' files, and advice on them and on their manifests."""

from __future__ import annotations

import asyncio
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from typing import NamedTuple

from services.cli import output
from services.cli.deploy import manifests
from services.cli.deploy.advice import advice, tool_advice
from shared.definitions.loader import Folder, equipped, read_folder
from shared.definitions.model import Definition
from shared.errors import SettingsError
from shared.settings.environment import Settings


class _Loaded(NamedTuple):
    definition: Definition
    advice: list[str]
    """On its tools."""


def check() -> None:
    """Check the agents' files; a fault means exit code 2, advice does not change it."""
    settings = Settings.from_environment()
    folder = read_folder(settings.agents)
    with ThreadPoolExecutor() as threads:
        results = [*threads.map(partial(_load, folder), folder.files)]
    if faults := [it for it in results if isinstance(it, str)]:
        raise SettingsError("\n".join(faults))
    loaded = [it for it in results if isinstance(it, _Loaded)]
    agents = {it.definition.name: it.definition for it in loaded}
    advised = [*advice(agents, settings), *(line for it in loaded for line in it.advice)]
    for line in [*advised, *manifests.disagreements(folder.path, agents)]:
        output.say(f"advice: {line}")
    number = len(agents)
    output.say(f"{number} agent{'' if number == 1 else 's'} in {folder.path}: no fault")


def _load(folder: Folder, name: str) -> _Loaded | str:
    """The definition, or the sentence with which this agent's process would refuse to start.

    Tools are imported in a separate process for each agent, as at a start, so that one agent's
    tools can't change the result for another.
    """
    if name in folder.faults:
        return folder.faults[name]
    definition = folder.found[name]
    if not definition.tools and not isinstance(definition.output, str):
        return _Loaded(definition, [])
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        try:
            return process.submit(_import, folder, name).result()
        except BrokenProcessPool:
            return folder.fault(name, ("tools",), "the process ends while they are imported")


def _import(folder: Folder, name: str) -> _Loaded | str:
    try:
        definition, tools = asyncio.run(equipped(folder, name))
    except SettingsError as error:
        return str(error)
    return _Loaded(definition, tool_advice(name, tools))
