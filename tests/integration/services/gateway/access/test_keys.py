"""Keys, from the command line to a real gateway."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from services.gateway.access.origin import SAFE_METHODS
from services.gateway.app import application
from services.gateway.gateway import Gateway
from services.gateway.metrics import Metrics
from services.gateway.tasks.hub import Hub
from shared.broker.connection import Broker
from shared.definitions.loader import read_folder
from shared.process.stopping import Stopping
from shared.settings.environment import Settings
from shared.settings.gateway import GatewaySettings
from shared.store import Store
from tests.support.processes.running import Child, System, until
from tests.support.repository import REPOSITORY

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-3.10"], indirect=True)

STORES = ["sqlite"]
REVOKED_S = 5.0
COMMANDS = "/api/commands"
"""Each command that it executes needs a scope of its own."""


def started(system: System, **env: str) -> tuple[Child, str]:
    gateway = system.start("services.gateway", HUTCH_GATEWAY_PORT="0", **env)
    served = gateway.wait_for(r'the gateway is served".*"port": (\d+)')
    return gateway, f"http://127.0.0.1:{served[1]}"


def status(url: str, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx2.get(f"{url}/api/me", headers=headers, verify=False).status_code


def test_a_key_works_at_once_and_stops_within_seconds_when_it_is_revoked(system: System) -> None:
    elsewhere = {"HUTCH_GATEWAY_HOST": "0.0.0.0"}
    (one, first), (two, second) = (started(system, **elsewhere) for _ in range(2))
    one.wait_for("every request is refused until 'hutch keys add NAME' makes a key")
    assert status(first, "") == 401
    key = system.hutch("keys", "add", "laptop").stdout.strip()
    assert (status(first, key), status(second, key), status(first, "")) == (200, 200, 401)
    assert system.hutch("keys", "revoke", "laptop").returncode == 0
    waited_s = until(lambda: (status(first, key), status(second, key)) == (401, 401), REVOKED_S)
    assert waited_s < REVOKED_S
    for gateway in (one, two):
        assert key.rpartition("_")[2] not in gateway.output


def test_the_start_says_that_no_key_is_needed(system: System) -> None:
    gateway, url = started(system)
    said = "no key is needed: every program that reaches the gateway may do everything"
    gateway.wait_for(said)
    assert status(url, "") == 200
    assert gateway.count(said) == 1
    system.hutch("keys", "add", "laptop")
    keyed, _ = started(system)
    assert gateway.end() == 0
    assert keyed.end() == 0
    assert keyed.count("key is needed|makes a key") == 0


async def test_each_operation_names_a_scope_and_none_that_changes_something_is_for_readers(
    broker: Broker, store: Store
) -> None:
    settings = Settings(_env_file=None)
    folder = read_folder(Path(REPOSITORY / "agents"))
    gateway = Gateway(
        settings, GatewaySettings(), store, broker, folder, Stopping(), "gateway.test"
    )
    hub = Hub(gateway, Metrics(CollectorRegistry()))
    paths = application(gateway, hub).openapi()["paths"]
    assert "/api/me" in paths
    for path, operations in paths.items():
        for method, operation in operations.items():
            if path in {"/login", "/logout"}:
                assert "security" not in operation
                continue
            assert path.startswith(("/api/", "/v1/")), f"{path} is not behind the guard"
            (scopes,) = [it["key"] for it in operation["security"]]
            reads = method.upper() in SAFE_METHODS or path == COMMANDS
            allowed = {"read", "run", "operate"} if reads else {"run", "operate"}
            assert len(scopes) == 1, f"{method} {path}"
            assert scopes[0] in allowed, f"{method} {path}"
