"""The agents of the folder, for commands that notice a misspelt name or a fault."""

from __future__ import annotations

from collections.abc import Iterable

from services.cli import output
from shared.definitions.loader import Folder, read_folder
from shared.definitions.model import is_name
from shared.errors import SettingsError
from shared.settings.environment import Settings
from shared.validation import near


def folder(settings: Settings) -> Folder | None:
    """The folder's agents; None if it can't be read, since agents may run on other machines."""
    try:
        return read_folder(settings.agents)
    except SettingsError:
        return None


def known_names(incomplete: str) -> list[str]:
    """The agents' names that begin with a text, for the shell's completion."""
    try:
        names = read_folder(Settings.from_environment().agents).names
    except SettingsError:
        return []
    return [name for name in names if name.startswith(incomplete)]


def check_name(name: str) -> None:
    """Raises `SettingsError` for a text that can be no agent's name."""
    if not is_name(name):
        raise SettingsError(f"'{name}' can be no agent's name: it is like alice or bob-2")


def check_agent(settings: Settings, name: str) -> None:
    """The same; a name that no file has causes a remark.

    It is no error: the files here may be older than the running agents, or have faults, and
    commands that control or show agents must not depend on them.
    """
    check_name(name)
    if sentence := unknown_agent(settings, name):
        output.remark(sentence)


def unknown_agent(settings: Settings, name: str) -> str | None:
    """A sentence on a name that no file has; None if one has it, or if there is no folder here."""
    found = folder(settings)
    if found is None or name in found.names:
        return None
    return unknown("agent", name, found.names, found)


def unknown_swarm(settings: Settings, group: str) -> str | None:
    """The same for the name of a swarm, which may also stand in a file with faults."""
    found = folder(settings)
    if found is None or found.faults:
        return None
    groups = {it.swarm for it in found.found.values() if it.swarm}
    return None if group in groups else unknown("swarm", group, groups, found)


def unknown(kind: str, name: str, found: Iterable[str], folder: Folder) -> str:
    """A sentence with the known names and, if there is one, the most similar name."""
    names = sorted(found)
    known = ", ".join(names) or "none"
    return f"no {kind} '{name}' in {folder.path}; known: {known}{near(name, names)}"
