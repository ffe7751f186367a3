"""A folder of one's own: an image on ours, with a package, a tool and an MCP server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.repository import REPOSITORY
from tests.support.stack import Stack

BOB = """\
name: bob
description: Makes plurals.
preamble: Say the plural of what you are given.
tools: [words.py:plural]
mcp: [{name: letters, command: python servers/letters.py}]
"""
LETTERS = '''\
from mcp.server import MCPServer

server = MCPServer("letters")


@server.tool()
def backwards(text: str) -> str:
    """Says a word backwards."""
    return text[::-1]


server.run()
'''
WORDS = '''\
import inflection


def plural(text: str) -> str:
    """Says the plural of a word."""
    return inflection.pluralize(text)
'''


@pytest.fixture(scope="module")
def own(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """`stack` has built the image that the folder's Dockerfile names."""
    folder = tmp_path_factory.mktemp("own") / "agents-of-mine"
    subprocess.run(
        [sys.executable, "-m", "services.cli", "init", str(folder)],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    )
    (folder / "agents/requirements.txt").write_text("inflection\n", "utf-8")
    (folder / "agents/bob.yaml").write_text(BOB, "utf-8")
    (folder / "agents/tools/words.py").write_text(WORDS, "utf-8")
    (folder / "agents/servers").mkdir()
    (folder / "agents/servers/letters.py").write_text(LETTERS, "utf-8")
    running = Stack(folder)
    try:
        running.compose("up", "--build", "--detach", "--wait")
        yield running
    finally:
        running.compose("down", "--volumes", "--rmi", "local", "--remove-orphans")


def test_a_tool_uses_a_package_that_the_folder_asks_for(own: Stack) -> None:
    response = own.ask("bob", ["octopus"])["0"]
    assert response["status"] == "ok"
    assert "octopi" in str(response["content"])


def test_an_mcp_server_of_the_folder_is_called(own: Stack) -> None:
    response = own.ask("bob", ['[[call letters_backwards {"text": "rabbit"}]]'])["0"]
    assert response["status"] == "ok"
    assert "tibbar" in str(response["content"])
