"""The examples of the page on agents' files work as they are printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.definitions.functions import Tool
from shared.definitions.loader import equipped, read_folder
from shared.errors import ToolError
from tests.support.repository import REPOSITORY

PAGE = (REPOSITORY / "docs" / "agents.md").read_text("utf-8")
AGENT, TOOLS = re.findall(r"```(?:yaml|python)\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
async def tools(tmp_path: Path) -> dict[str, Tool]:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "orders.py").write_text(TOOLS, "utf-8")
    (tmp_path / "carol.yaml").write_text(AGENT, "utf-8")
    found = await equipped(read_folder(tmp_path), "carol")
    definition, tools = found.definition, found.tools
    assert definition.limits.turns == 6
    return {tool.name: tool for tool in tools}


async def test_the_examples_tools_have_the_schema_that_their_hints_say(
    tools: dict[str, Tool],
) -> None:
    assert tools["lookup"].repeatable
    assert tools["lookup"].parameters["properties"] == {
        "number": {"description": "as on the invoice", "minimum": 1, "type": "integer"}
    }
    assert tools["cancel"].parameters["required"] == ["number"]


async def test_the_model_gets_results_and_exceptions_as_the_page_says(
    tools: dict[str, Tool],
) -> None:
    assert await tools["lookup"].call({"number": "17"}) == '{"state":"packed"}'
    with pytest.raises(ToolError, match=r"^lookup failed: LookupError: there is no order 9; "):
        await tools["lookup"].call({"number": 9})
