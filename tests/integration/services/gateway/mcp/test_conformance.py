"""The conformance suite of MCP, unmodified, against the gateway."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.integration.services.gateway.mcp.conftest import Door
from tests.support.machine import need
from tests.support.repository import REPOSITORY

pytestmark = [
    pytest.mark.long,
    pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True),
]

NPM = ("node@22", "@modelcontextprotocol/conformance@0.1.16")
"""The suite needs a newer Node than Debian has."""
EXPECTED = REPOSITORY / "tests/integration/services/gateway/mcp/conformance.yaml"
PATIENCE_S = 600.0


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("node")
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text('{"private": true, "type": "module"}', "utf-8")
    command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent", *NPM]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "node_modules"


def test_the_suite_finds_no_other_failures_than_those_whose_reasons_are_kept(
    door: Door, suite: Path
) -> None:
    done = subprocess.run(
        [
            suite / "node/bin/node",
            suite / "@modelcontextprotocol/conformance/dist/index.js",
            *("server", "--url", f"{door.url}/mcp", "--suite", "all"),
            *("--expected-failures", EXPECTED),
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    print(done.stdout)  # noqa: T201 - pytest shows it if the test fails
    assert not done.returncode, done.stdout + done.stderr
