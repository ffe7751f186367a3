"""`hutch mcp`: the agents as tools of a program that speaks MCP over stdin and stdout."""

from __future__ import annotations

import asyncio
import os
import sys

from services.cli.broker import address
from shared.settings.environment import Settings
from shared.settings.gateway_address import gateway_address

SERVER = "services.gateway.mcp"


def mcp() -> None:
    """Offer the agents as tools to a program that speaks MCP over stdin and stdout.

    The program starts this command, which ends when its stdin does. With HUTCH_GATEWAY it passes
    messages on to that gateway. Otherwise it works as a gateway does, with the broker and the
    store.
    """
    if gateway := gateway_address():
        from services.cli.stdio_bridge import pass_on  # loads httpx2

        asyncio.run(pass_on(gateway))
        return
    environment = {
        **os.environ,
        "RABBITMQ_URL": address(Settings.from_environment()),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),  # it imports from where we do
    }
    os.execve(sys.executable, [sys.executable, "-m", SERVER], environment)
