"""Schemas of MCP tools as models are offered them."""

from __future__ import annotations

import pytest
from mcp_types import Tool
from pydantic import JsonValue

from services.agent.tools.mcp.catalogue import specs_of
from shared.definitions.mcp import McpServer

SERVER = McpServer(name="s", command=["serve"])
A: JsonValue = {"a": {"type": "string"}}


def offered(schema: dict[str, JsonValue]) -> dict[str, JsonValue] | str:
    """The parameters of a tool with this schema, or why it is left out."""
    found, faults = specs_of(SERVER, [Tool(name="t", input_schema=schema)])
    return faults[0] if faults else found["t"].parameters


@pytest.mark.parametrize("key", ["anyOf", "oneOf", "allOf"])
def test_a_choice_at_the_root_is_left_out_since_endpoints_refuse_all_tools_with_it(
    key: str,
) -> None:
    schema: dict[str, JsonValue] = {"type": "object", "properties": A, key: [{"required": ["a"]}]}
    assert offered(schema) == {"type": "object", "properties": A}


def test_an_array_has_items_and_the_root_a_type() -> None:
    schema: dict[str, JsonValue] = {"properties": {"a": {"type": "array"}}}
    assert offered(schema) == {
        "type": "object",
        "properties": {"a": {"type": "array", "items": {}}},
    }
    assert offered({}) == {"type": "object"}


def test_a_tool_whose_parameters_are_no_object_is_left_out() -> None:
    assert offered({"type": "string"}) == "the tool 't': its parameters are not an object"
