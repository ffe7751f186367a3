"""One compose stack for all end-to-end tests: README.md's own commands start and end it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e import readme
from tests.e2e.stack import Stack


def engine_is_up() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, timeout=30).returncode == 0


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The shipped compose file, built and started, with three Bobs."""
    if not engine_is_up():
        pytest.skip("no container engine runs here: nothing was tested in containers")
    *starting, ending = [line[2:] for line in readme.commands("docker compose")]
    stack = Stack(readme.ROOT)
    try:
        for arguments in starting:
            stack.compose(*arguments)
        yield stack
    finally:
        stack.compose(*ending, "--volumes", "--remove-orphans")
