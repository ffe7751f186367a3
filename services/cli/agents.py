"""The agents that the folder knows, so that a misspelt name is noticed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from difflib import get_close_matches

from pydantic import TypeAdapter, ValidationError

from services.cli import output
from shared.definitions.loader import Folder, read_folder
from shared.definitions.model import Duration, is_name
from shared.errors import SettingsError
from shared.settings.environment import Settings


def folder(settings: Settings) -> Folder | None:
    """The folder's agents; None where it can't be read: agents may run on other machines."""
    try:
        return read_folder(settings.agents)
    except SettingsError:
        return None


def check_agent(settings: Settings, name: str) -> None:
    """Raises `SettingsError` for what can be no agent's name.

    A name that no file has is only remarked on: the files here may be older than the agents that
    run, or be wrong, and nothing that steers or looks may depend on them.
    """
    if not is_name(name):
        raise SettingsError(f"'{name}' can be no agent's name: it is like alice or bob-2")
    if (found := folder(settings)) and name not in found.names:
        output.remark(unknown("agent", name, found.names, found))


def check_group(settings: Settings, group: str) -> None:
    """The same for a swarm."""
    if not is_name(group):
        raise SettingsError(f"'{group}' can be no swarm's name: it is like research")
    if found := folder(settings):
        groups = {it.swarm for it in found.found.values() if it.swarm}
        if group not in groups and not found.faults:
            output.remark(unknown("swarm", group, groups, found))


def duration(option: str, text: str) -> timedelta:
    """Raises `SettingsError` naming the option."""
    try:
        return TypeAdapter[timedelta](Duration).validate_python(text)
    except ValidationError as error:
        raise SettingsError(f"{option}: {error.errors()[0]['msg']}") from error


def unknown(what: str, name: str, known: Iterable[str], found: Folder) -> str:
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"no {what} '{name}' in {found.path}; known: {', '.join(names) or 'none'}{hint}"
