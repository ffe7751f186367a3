from __future__ import annotations

import pytest

from tests.support.k8s.rendering import LOCAL, OVERLAYS, PRODUCTION, SMALL, Overlay, render


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Overlay:
    return render(LOCAL, tmp_path_factory.mktemp("local"))


@pytest.fixture(scope="session")
def production(tmp_path_factory: pytest.TempPathFactory) -> Overlay:
    return render(PRODUCTION, tmp_path_factory.mktemp("production"))


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Overlay:
    return render(SMALL, tmp_path_factory.mktemp("small"))


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> Overlay:
    """One with a pod for each process."""
    found: Overlay = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=(*OVERLAYS, SMALL))
def any_overlay(request: pytest.FixtureRequest) -> Overlay:
    found: Overlay = request.getfixturevalue(request.param)
    return found
