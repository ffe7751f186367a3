from __future__ import annotations

from pathlib import Path

import pytest

from services.agent.runs.toolbox import Toolbox
from shared.definitions.functions import Tool, load
from shared.errors import ToolError


def tools(folder: Path, *names: str) -> list[Tool]:
    (folder / "tools").mkdir()
    source = "\n".join(f"def {name}() -> str:\n    return '{name}'" for name in names)
    (folder / "tools" / "orders.py").write_text(source, "utf-8")
    return [load(folder, f"orders.py:{name}") for name in names]


async def test_a_tool_is_called_by_the_name_that_the_model_is_offered(tmp_path: Path) -> None:
    box = Toolbox(tools(tmp_path, "lookup", "größe"))
    assert [spec.name for spec in box.specs] == ["lookup", "gr__e"]
    assert await box.call("gr__e", {}, "k") == "größe"


def test_specs_say_which_tools_may_run_twice(tmp_path: Path) -> None:
    pay, _ = tools(tmp_path, "pay", "lookup")
    lookup = load(tmp_path, "orders.py:lookup", repeatable=True)
    assert [spec.repeatable for spec in Toolbox([pay, lookup]).specs] == [False, True]


async def test_a_tool_that_is_not_there_any_more_is_answered_in_band(tmp_path: Path) -> None:
    """A run resumes on the tools that its claim froze; a newer file may have fewer."""
    with pytest.raises(ToolError, match="the tool 'lookup' is not there any more"):
        await Toolbox(tools(tmp_path, "search")).call("lookup", {}, "key")
