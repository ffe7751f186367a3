"""The files that an agent is made of, to notice a change of it.

These are its own file, what its workers' files say to managers, and the modules of its tools with
the modules in the folder of tools that they import. Other files of tools are data, which a tool may
write itself.
"""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from shared.definitions.loader import Folder
from shared.definitions.model import Definition
from shared.definitions.syntax import module_tree

SUFFIXES = {".yaml", ".yml", ".json", ".py", ".md"}
"""Definitions, schemas, tools and skills."""

Look = frozenset[tuple[Path, int, int]]


def look(folder: Path) -> Look:
    """The files in the folder with their sizes and times of change."""
    found = set()
    for place, _, names in os.walk(folder):
        for file in (Path(place, name) for name in names):
            if file.suffix in SUFFIXES:
                with suppress(OSError):  # an editor has just replaced it
                    state = file.stat()
                    found.add((file, state.st_mtime_ns, state.st_size))
    return frozenset(found)


def digest(folder: Folder, name: str) -> str:
    """A digest of what an agent without a fault is made of, without its schedules.

    The scheduler reads those.
    """
    definition = folder.found[name]
    workers = [folder.described[worker.name] for worker in definition.workers]
    found = hashlib.sha256(definition.model_dump_json(exclude={"schedule"}).encode())
    for worker in workers:
        found.update(worker.model_dump_json().encode())
    tools = folder.path / "tools"
    starts = {tools / file for it in (definition, *workers) for file in _modules(it)}
    for file, content in sorted(_with_imports(starts, tools).items()):
        found.update(str(file).encode() + b"\0" + content)
    return found.hexdigest()


def _modules(definition: Definition) -> Iterator[str]:
    references = [tool.function for tool in definition.tools]
    if definition.guardrails:
        references += [it.function for it in definition.guardrails.checks if it.function]
    if isinstance(definition.output, str):
        references.append(definition.output)
    for reference in references:
        yield reference.partition(":")[0]


def _with_imports(starts: set[Path], tools: Path) -> dict[Path, bytes]:
    """The content of those files that exist, and of the files in `tools` that they import."""
    found: dict[Path, bytes] = {}
    left = list(starts)
    while left:
        file = left.pop()
        if file not in found and file.is_file():
            with suppress(OSError):  # it has just been replaced: the next look finds it
                found[file] = file.read_bytes()
                left += _imported(file, found[file], tools)
    return found


def _imported(file: Path, content: bytes, tools: Path) -> Iterator[Path]:
    """Where the modules that a file imports are if they are tools."""
    try:
        tree = module_tree(content)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        names: list[str] = []
        start = tools
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = file.parents[node.level - 1] if node.level else tools
            module = [node.module] if node.module else []
            names = [*module, *(".".join([*module, alias.name]) for alias in node.names)]
        for name in names:
            parts = name.split(".")
            for length in range(1, len(parts) + 1):
                place = start.joinpath(*parts[:length])
                yield from (place.with_suffix(".py"), place / "__init__.py")
