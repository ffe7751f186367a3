"""The conformance suite of MCP, unmodified, against the gateway."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from services.cli.machine.ports import free_port
from shared.process.http import serving
from tests.integration.services.gateway.mcp.conftest import Door
from tests.support.gateway import client as http_client
from tests.support.gateway import gateway
from tests.support.machine import need
from tests.support.mcp.fixtures import proxy
from tests.support.processes.agents import define
from tests.support.repository import REPOSITORY

pytestmark = [
    pytest.mark.long,
    pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True),
]

SUITE = "@modelcontextprotocol/conformance"
NODE = "node@22"
"""The suite needs a newer one than Debian has."""
EXPECTED = REPOSITORY / "tests/support/mcp/conformance"
"""The failures whose reason is known, by the suite's version."""
PATIENCE_S = 900.0


@pytest.fixture
def suite(tmp_path: Path, version: str) -> Path:
    need("node")
    (tmp_path / "package.json").write_text('{"private": true, "type": "module"}', "utf-8")
    command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
    subprocess.run([*command, NODE, f"{SUITE}@{version}"], cwd=tmp_path, check=True)
    return tmp_path / "node_modules"


@pytest.mark.parametrize("version", ["0.1.16", "0.2.0-alpha.12"])
async def test_the_suite_finds_no_failures_but_those_whose_reasons_are_kept(
    door: Door, agents: Path, suite: Path, version: str
) -> None:
    define(agents, door.system, late="limits: {timeout: 3s}")
    door.system.agents("late")
    _, url = gateway(door.system)
    port = free_port("127.0.0.1", 18765)
    async with (
        http_client(url) as http,
        serving(proxy(http), "127.0.0.1", port, what="the proxy", variables="none"),
    ):
        process = await asyncio.create_subprocess_exec(
            *(suite / "node/bin/node", suite / SUITE / "dist/index.js", "server"),
            *("--url", f"http://127.0.0.1:{port}/mcp", "--suite", "all"),
            *("--expected-failures", EXPECTED / f"{version}.yaml", "-o", suite / "results"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        async with asyncio.timeout(PATIENCE_S):
            output, _ = await process.communicate()
    assert not process.returncode, output.decode()
