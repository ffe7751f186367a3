"""A gateway with real agents behind it, for MCP's clients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.gateway import gateway
from tests.support.processes.agents import define
from tests.support.processes.running import System

MODERN, LEGACY = "2026-07-28", "legacy"
"""The SDK's names of the newest revision, and of those with a handshake."""


@dataclass(frozen=True)
class Door:
    url: str
    system: System


@pytest.fixture
def door(system: System, agents: Path) -> Door:
    define(
        agents,
        system,
        alice="workers: [bob]\ndescription: Manages Bob.",
        bob="preamble: You are Bob.",
        form="output: {type: object, properties: {city: {type: string}}, required: [city]}",
    )
    system.agents("alice", "bob", "form")
    return Door(f"{gateway(system)[1]}/mcp", system)
