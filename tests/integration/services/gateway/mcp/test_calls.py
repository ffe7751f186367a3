"""Agents as tools, for the SDK's own client."""

from __future__ import annotations

import pytest
from mcp import MCPError
from mcp_types import INVALID_PARAMS, TextContent

from tests.integration.services.gateway.mcp.conftest import MODES, TRANSPORTS, Door

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_each_agent_is_a_tool_by_any_revision(door: Door, transport: str) -> None:
    for mode in MODES:
        async with door.client(mode, transport) as client:
            tools = (await client.list_tools()).tools
            assert [(it.name, it.description) for it in tools] == [
                ("alice", "Manages Bob."),
                ("bob", ""),
                ("form", ""),
            ]
            said: list[tuple[float, str | None]] = []

            async def note(progress: float, total: float | None, message: str | None) -> None:
                said.append((progress, message))

            made = await client.call_tool(
                "alice",
                {"prompt": '[[call bob {"prompt": "Hello!"}]][[reply Bob greets.]]'},
                progress_callback=note,
            )
            assert made.content == [TextContent(text="Bob greets.")]
            assert not made.is_error
            assert [progress for progress, _ in said] == sorted({progress for progress, _ in said})
            assert "alice has called bob" in [message for _, message in said]

            found = await client.call_tool("form", {"prompt": '[[reply {"city": "Rome"}]]'})
            assert found.structured_content == {"city": "Rome"}

            wrong = await client.call_tool("bob", {"text": "Hello!"})
            assert wrong.is_error
            assert wrong.content == [TextContent(text="prompt: the key is missing")]
            with pytest.raises(MCPError, match="there is no tool 'carol'") as unknown:
                await client.call_tool("carol", {"prompt": "Hello!"})
            assert unknown.value.code == INVALID_PARAMS
