"""What could not run on this machine is said in one line at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.local.__main__ import weights
from shared.errors import SettingsError
from tests.integration.brokers import container, vhost

SAID = pytest.StashKey[dict[str, str]]()


@pytest.fixture
def broker_for_local_model(request: pytest.FixtureRequest) -> Iterator[str]:
    """Its URL; skips where the local model is not installed, before a broker starts."""
    said = request.config.stash.setdefault(SAID, {})
    try:
        file = weights()
        with container() as server, vhost(server) as rabbit:
            said["local model"] = f"ran with {file.name}"
            yield rabbit.url
    except SettingsError as error:
        said["local model"] = f"NOT RUN: {error}"
        pytest.skip(str(error))
    except pytest.skip.Exception as reason:
        said["local model"] = f"NOT RUN: {reason.msg}"
        raise


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for name, what in sorted(config.stash.get(SAID, {}).items()):
        terminalreporter.write_line(f"{name}: {what}")
