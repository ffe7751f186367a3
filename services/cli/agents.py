"""The agents of the folder, for commands that notice a misspelt name or a fault."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from difflib import get_close_matches
from multiprocessing import get_context

from services.cli import output
from shared.definitions.loader import Folder, equipped, read_folder
from shared.definitions.model import Definition, is_name
from shared.errors import SettingsError
from shared.settings.environment import Settings


def folder(settings: Settings) -> Folder | None:
    """The folder's agents; None if it can't be read, since agents may run on other machines."""
    try:
        return read_folder(settings.agents)
    except SettingsError:
        return None


def check_agent(settings: Settings, name: str) -> None:
    """Raises `SettingsError` for a text that can be no agent's name.

    A name that no file has only causes a remark: the files here may be older than the running
    agents, or have faults, and commands that control or show agents must not depend on them.
    """
    if not is_name(name):
        raise SettingsError(f"'{name}' can be no agent's name: it is like alice or bob-2")
    if (found := folder(settings)) and name not in found.names:
        output.remark(unknown("agent", name, found.names, found))


def check_group(settings: Settings, group: str) -> None:
    """The same check for the name of a swarm; see `check_agent`."""
    if not is_name(group):
        raise SettingsError(f"'{group}' can be no swarm's name: it is like research")
    if found := folder(settings):
        groups = {it.swarm for it in found.found.values() if it.swarm}
        if group not in groups and not found.faults:
            output.remark(unknown("swarm", group, groups, found))


def unknown(kind: str, name: str, known: Iterable[str], folder: Folder) -> str:
    """A sentence with the known names and, if there is one, the most similar name."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"no {kind} '{name}' in {folder.path}; known: {', '.join(names) or 'none'}{hint}"


def loaded(folder: Folder, name: str) -> Definition | str:
    """The definition, or the sentence with which this agent's process would refuse to start.

    Tools are imported in a separate process for each agent, as at a start, so that one agent's
    tools can't change the result for another.
    """
    try:
        definition = folder.definition(name)
    except SettingsError as error:
        return str(error)
    if not definition.tools and not isinstance(definition.output, str):
        return definition
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        try:
            return process.submit(_import, folder, name).result()
        except BrokenProcessPool:
            return f"{folder.files[name]}: tools: the process ends while they are imported"


def _import(folder: Folder, name: str) -> Definition | str:
    try:
        definition, _ = asyncio.run(equipped(folder, name))
    except SettingsError as error:
        return str(error)
    return definition
