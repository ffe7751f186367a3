"""Loading an agent as its process does at its start, to find what would make it refuse."""

from __future__ import annotations

import asyncio
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import NamedTuple

from shared.client.system.advice import tool_advice
from shared.definitions.loader import Folder, equipped
from shared.definitions.model import Definition
from shared.errors import SettingsError


class Loaded(NamedTuple):
    definition: Definition
    advice: list[str]
    """On its tools."""
    tools: tuple[tuple[str, str], ...] = ()
    """The name and the description of each."""


def loaded(folder: Folder, name: str) -> Loaded | str:
    """The definition, or the sentence with which this agent's process would refuse to start.

    Tools are imported in a separate process for each agent, as at a start, so that one agent's
    tools can't change the result for another.
    """
    try:
        definition = folder.definition(name)
    except SettingsError as error:
        return str(error)
    needs = (definition.tools, definition.knowledge, definition.skills, definition.guardrails)
    if not any(needs) and not isinstance(definition.output, str):
        return Loaded(definition, [])
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        try:
            return process.submit(_import, folder, name).result()
        except BrokenProcessPool:
            return folder.fault(name, ("tools",), "the process ends while they are imported")


def _import(folder: Folder, name: str) -> Loaded | str:
    try:
        found = asyncio.run(equipped(folder, name))
    except SettingsError as error:
        return str(error)
    described = tuple((tool.name, tool.description) for tool in found.tools)
    return Loaded(found.definition, tool_advice(name, found.tools), described)
