"""A gateway with real agents behind it, for MCP's clients."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.extension import ClientExtension

from tests.support.gateway import alice_bob_and_form, gateway
from tests.support.processes.running import System
from tests.support.repository import REPOSITORY

MODERN, LEGACY = "2026-07-28", "legacy"
"""The SDK's names of the newest revision, and of those with a handshake."""
MODES = (MODERN, LEGACY, "auto")

HTTP, STDIO, BRIDGE = "http", "stdio", "stdio, through the gateway"
TRANSPORTS = (HTTP, STDIO, BRIDGE)


@dataclass(frozen=True)
class Door:
    """A gateway's address, and the system behind it."""

    url: str
    system: System

    def client(
        self,
        mode: str = MODERN,
        transport: str = HTTP,
        extensions: Sequence[ClientExtension] = (),
    ) -> Client:
        where: str | StdioServerParameters = f"{self.url}/mcp"
        if transport != HTTP:
            env = {**os.environ, **self.system.env}
            if transport == BRIDGE:
                env["HUTCH_GATEWAY"] = self.url
            command = ["-m", "services.cli", "mcp"]
            where = StdioServerParameters(
                command=sys.executable, args=command, env=env, cwd=REPOSITORY
            )
        return Client(where, mode=mode, extensions=extensions or None)


@pytest.fixture
def door(system: System, agents: Path) -> Door:
    alice_bob_and_form(system, agents)
    return Door(gateway(system)[1], system)
