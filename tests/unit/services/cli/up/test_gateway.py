"""The port, the address and the webhooks' secret of a gateway that 'hutch up' starts."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from services.cli.up.gateway import LocalGateway
from shared.settings.gateway import GatewaySettings

SECRET = "whsec_" + "A" * 32


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "HOST"):
        monkeypatch.delenv(f"HUTCH_GATEWAY_{name}", raising=False)
    for name in ("", "_FILE"):
        monkeypatch.delenv(f"HUTCH_WEBHOOK_SECRET{name}", raising=False)


def test_it_has_the_port_of_the_settings_if_that_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
    monkeypatch.setenv("HUTCH_GATEWAY_PORT", port)
    found = LocalGateway.prepare(tmp_path)
    assert found.address == f"http://127.0.0.1:{port}"
    assert found.environment["HUTCH_GATEWAY_PORT"] == port


def test_it_has_another_port_if_that_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        monkeypatch.setenv("HUTCH_GATEWAY_PORT", port)
        found = LocalGateway.prepare(tmp_path)
    assert found.environment["HUTCH_GATEWAY_PORT"] not in {port, "0"}


def test_the_address_of_one_that_listens_everywhere_can_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUTCH_GATEWAY_HOST", "0.0.0.0")
    assert LocalGateway.prepare(tmp_path).address.startswith("http://127.0.0.1:")


def test_the_secret_of_webhooks_is_made_once_and_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = LocalGateway.prepare(tmp_path).environment["HUTCH_WEBHOOK_SECRET_FILE"]
    text, mode = Path(first).read_text("utf-8"), Path(first).stat().st_mode
    assert LocalGateway.prepare(tmp_path).environment["HUTCH_WEBHOOK_SECRET_FILE"] == first
    assert Path(first).read_text("utf-8") == text
    assert mode & 0o077 == 0
    monkeypatch.setenv("HUTCH_WEBHOOK_SECRET_FILE", first)
    assert GatewaySettings.from_environment().webhook_secrets() == [text]


def test_a_secret_of_the_settings_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUTCH_WEBHOOK_SECRET", SECRET)
    assert "HUTCH_WEBHOOK_SECRET_FILE" not in LocalGateway.prepare(tmp_path).environment
    assert not list(tmp_path.iterdir())
