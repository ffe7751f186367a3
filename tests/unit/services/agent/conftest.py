"""A model endpoint with a script."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.model.endpoint import Endpoint


@pytest.fixture(scope="module")
def server() -> Iterator[Endpoint]:
    with Endpoint().serving() as serving:
        yield serving


@pytest.fixture
def endpoint(server: Endpoint) -> Endpoint:
    return server.reset()
