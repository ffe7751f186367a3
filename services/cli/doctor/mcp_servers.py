"""The MCP servers of the agents: whether they could be started or reached from here. None is."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from services.cli.doctor.finding import Area, Finding, advice, fault
from shared.definitions.mcp import McpServer
from shared.definitions.model import Definitions
from shared.errors import SettingsError
from shared.settings.secrets import secret, shown_url

CONNECT_S = 5.0


async def mcp_findings(agents: Definitions) -> list[Finding]:
    servers = [(agent.name, it) for agent in agents.values() for it in agent.mcp]
    found = [finding for agent, it in servers for finding in _local(agent, it)]
    addresses = {it.url for _, it in servers if it.url}
    return found + [it for it in await asyncio.gather(*map(_reached, addresses)) if it]


def _local(agent: str, server: McpServer) -> Iterator[Finding]:
    if server.command and shutil.which(server.command[0]) is None:
        yield advice(
            Area.MCP,
            f"'{agent}' starts its MCP server '{server.name}' by '{server.command[0]}', which is "
            "not found here",
            "install it where the agent runs: the agent starts without the server's tools",
        )
    for name in server.variables:
        with suppress(SettingsError):  # a file that can't be read here
            if secret(name) is None:
                yield advice(
                    Area.MCP,
                    f"'{agent}' has a credential of its MCP server '{server.name}' in {name}, "
                    "which is not set here",
                    "set it where the agent runs: the agent starts without the server's tools",
                )


async def _reached(url: str) -> Finding | None:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(parts.hostname, port)
            writer.close()
            await writer.wait_closed()
    except (OSError, TimeoutError) as error:
        reason = str(error) or f"no connection within {CONNECT_S:.0f} s"
        return fault(
            Area.MCP,
            f"the MCP server at {shown_url(url)} does not answer here: {reason}",
            "start it, or correct its address: the agents start without its tools, and have them "
            "once it is there",
        )
    return None
