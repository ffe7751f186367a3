"""What the MCP servers cost an agent that has none."""

from __future__ import annotations

import subprocess
import sys

from tests.support.repository import REPOSITORY

CODE = """
import sys
import services.agent.__main__
import services.agent.preload
print([it for it in sys.modules if it.split(".")[0] in {"mcp", "mcp_types"}])
"""


def test_an_agent_without_servers_does_not_import_the_sdk() -> None:
    command = [sys.executable, "-c", CODE]
    assert subprocess.check_output(command, cwd=REPOSITORY, text=True) == "[]\n"
