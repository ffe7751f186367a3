"""Agents as tools, for the SDK's own client."""

from __future__ import annotations

import pytest
from mcp import Client
from mcp_types import TextContent

from tests.integration.services.gateway.mcp.conftest import LEGACY, MODERN, Door

pytestmark = [
    pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True),
    pytest.mark.parametrize("mode", [MODERN, LEGACY, "auto"]),
]


async def test_each_agent_is_a_tool_that_answers(door: Door, mode: str) -> None:
    async with Client(door.url, mode=mode) as client:
        tools = (await client.list_tools()).tools
        assert [(it.name, it.description) for it in tools] == [
            ("alice", "Manages Bob."),
            ("bob", ""),
            ("form", ""),
        ]
        made = await client.call_tool("bob", {"prompt": "[[reply Here it is.]]"})
        assert made.content == [TextContent(text="Here it is.")]
        assert not made.is_error
