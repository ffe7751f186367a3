"""A folder of one's own: an image on ours, with a package and a tool that ours doesn't have."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import REPOSITORY
from tests.support.stack import Stack

BOB = """\
name: bob
description: Makes plurals.
preamble: Say the plural of what you are given.
tools: [words.py:plural]
"""
WORDS = '''\
import inflection


def plural(text: str) -> str:
    """Says the plural of a word."""
    return inflection.pluralize(text)
'''


@pytest.fixture
def own(stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    """`stack` has built the image that the folder's Dockerfile names."""
    folder = tmp_path / "own"
    subprocess.run(
        [sys.executable, "-m", "services.cli", "init", str(folder)],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    )
    (folder / "agents/requirements.txt").write_text("inflection\n", "utf-8")
    (folder / "agents/bob.yaml").write_text(BOB, "utf-8")
    (folder / "agents/tools/words.py").write_text(WORDS, "utf-8")
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
