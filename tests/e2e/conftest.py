"""One compose stack for all, which README.md's own commands start and end."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from services.local.__main__ import weights
from shared.errors import SettingsError
from tests.e2e import readme
from tests.e2e.stack import Stack
from tests.integration.brokers import container, vhost
from tests.said import said


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


@pytest.fixture
def broker_for_local_model(request: pytest.FixtureRequest) -> Iterator[str]:
    """Its URL; skips where the local model is not installed, before a broker starts."""
    lines = said(request.config)
    try:
        file = weights()
        with container() as server, vhost(server) as rabbit:
            lines["local model"] = f"ran with {file.name}"
            yield rabbit.url
    except SettingsError as error:
        lines["local model"] = f"NOT RUN: {error}"
        pytest.skip(str(error))
    except pytest.skip.Exception as reason:
        lines["local model"] = f"NOT RUN: {reason.msg}"
        raise
