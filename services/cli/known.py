"""The agents that the folder knows, so that a misspelt name is told before it is published."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from difflib import get_close_matches

from pydantic import TypeAdapter, ValidationError

from shared.definitions import Definitions, Duration, load
from shared.errors import SettingsError
from shared.settings import Settings


def definitions(settings: Settings) -> Definitions:
    """The folder's agents; none where there is no folder: agents may run on other machines.

    Raises `SettingsError` when the folder has faults.
    """
    return load(settings.agents) if settings.agents.is_dir() else {}


def check_agent(settings: Settings, name: str) -> None:
    """Raises `SettingsError` when there is a folder and it has no such agent."""
    found = definitions(settings)
    if found and name not in found:
        raise SettingsError(_unknown("agent", name, found, settings))


def check_group(settings: Settings, group: str) -> None:
    """Raises `SettingsError` when there is a folder and no agent in it is of this swarm."""
    found = definitions(settings)
    groups = {it.swarm for it in found.values() if it.swarm}
    if found and group not in groups:
        raise SettingsError(_unknown("swarm", group, groups, settings))


def duration(option: str, text: str) -> timedelta:
    """Raises `SettingsError` naming the option."""
    try:
        return TypeAdapter[timedelta](Duration).validate_python(text)
    except ValidationError as error:
        raise SettingsError(f"{option}: {error.errors()[0]['msg']}") from error


def _unknown(what: str, name: str, known: Iterable[str], settings: Settings) -> str:
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"no {what} '{name}' in {settings.agents}; known: {', '.join(names) or 'none'}{hint}"
