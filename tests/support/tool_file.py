"""A user's file of tools, written for one test."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.definitions.functions import Tool, load
from shared.errors import ToolError


def tool(folder: Path, source: str, name: str = "lookup", file: str = "orders.py") -> Tool:
    (folder / "tools").mkdir(exist_ok=True)
    (folder / "tools" / file).write_text(source, "utf-8")
    return load(folder, f"{file}:{name}")


async def failure(made: Tool, **arguments: object) -> str:
    with pytest.raises(ToolError) as caught:
        await made.call(arguments)  # type: ignore[arg-type]  # what a model sends can be anything
    return str(caught.value)
