"""Agents as tools, for the SDK's own client."""

from __future__ import annotations

import pytest
from mcp import MCPError
from mcp_types import INVALID_PARAMS, TextContent
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from tests.integration.services.gateway.mcp.conftest import MODES, TRANSPORTS, Door
from tests.support.gateway import client as http_client
from tests.support.mcp.client import ACCEPT, INFO, message

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)


async def test_each_revision_with_a_handshake_is_served(door: Door) -> None:
    async with http_client(door.url) as http:
        for version in HANDSHAKE_PROTOCOL_VERSIONS:
            begin = {"protocolVersion": version, "capabilities": {}, "clientInfo": INFO}
            made = await http.post("/mcp", json=message("initialize", begin, 1), headers=ACCEPT)
            session = {"Mcp-Session-Id": made.headers["mcp-session-id"]}
            assert f'"protocolVersion":"{version}"' in made.text
            call = {"name": "form", "arguments": {"prompt": '[[reply {"city": "Rome"}]]'}}
            made = await http.post(
                "/mcp",
                json=message("tools/call", call, 2),
                headers=ACCEPT | session | {"MCP-Protocol-Version": version},
            )
            assert "Rome" in made.text


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_each_agent_is_a_tool_by_any_revision(door: Door, transport: str) -> None:
    said: list[tuple[float, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        said.append((progress, message))

    for mode in MODES:
        async with door.client(mode, transport) as client:
            tools = (await client.list_tools()).tools
            assert [(it.name, it.description) for it in tools] == [
                ("alice", "Manages Bob."),
                ("bob", "The agent bob."),
                ("form", "The agent form."),
            ]
            said.clear()
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
