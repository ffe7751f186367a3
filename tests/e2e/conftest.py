"""One compose stack for all, which README.md's own commands start and end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.local.__main__ import weights
from tests.e2e import readme
from tests.support.brokers.rabbitmq import container, vhost
from tests.support.machine import need
from tests.support.report import summary
from tests.support.repository import REPOSITORY
from tests.support.stack import Stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The shipped compose file, built and started, with three Bobs."""
    need("docker")
    *starting, ending = [line[2:] for line in readme.commands("docker compose")]
    stack = Stack(REPOSITORY)
    try:
        for arguments in starting:
            stack.compose(*arguments)
        yield stack
    finally:
        stack.compose(*ending, "--volumes", "--remove-orphans")


@pytest.fixture
def broker_for_local_model(request: pytest.FixtureRequest) -> Iterator[str]:
    """Its URL; skips where the local model is not installed, before a broker starts."""
    need("local model")
    with container() as server, vhost(server) as rabbit:
        summary(request.config)["local model"] = f"ran with {weights().name}"
        yield rabbit.url
