from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.contract.remote_commands import TIMEZONE
from shared.errors import SettingsError
from shared.settings.gateway_address import GatewayAddress, gateway_address, local_terminal

KEY = "hk_0123456789ab_secret"


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield str(request.param)
    monkeypatch.undo()
    time.tzset()


def test_a_gateway_has_an_address_and_perhaps_a_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert gateway_address() is None
    monkeypatch.setenv("HUTCH_GATEWAY", "https://hutch.example/base/")
    assert gateway_address() == GatewayAddress("https://hutch.example/base", None)
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    monkeypatch.setenv("HUTCH_GATEWAY_KEY_FILE", str(file))
    found = gateway_address()
    assert found == GatewayAddress("https://hutch.example/base", KEY)
    assert KEY not in repr(found)
    monkeypatch.setenv("HUTCH_GATEWAY_KEY", KEY)
    with pytest.raises(SettingsError, match="are both set"):
        gateway_address()


@pytest.mark.parametrize(
    "address",
    [
        "hutch.example",
        "ftp://hutch.example",
        "https://",
        "http://h:0",
        "https://a:b@c",
        "http://h:x",
    ],
)
def test_a_wrong_address_names_its_variable(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("HUTCH_GATEWAY", address)
    with pytest.raises(SettingsError, match="HUTCH_GATEWAY is wrong"):
        gateway_address()


@pytest.mark.parametrize("key", ["with space", "ümlaut", "two\nlines"])
def test_a_wrong_key_is_not_shown(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("HUTCH_GATEWAY", "https://hutch.example")
    monkeypatch.setenv("HUTCH_GATEWAY_KEY", key)
    with pytest.raises(SettingsError, match="HUTCH_GATEWAY_KEY is wrong") as refused:
        gateway_address()
    assert key not in str(refused.value)


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "EST5EDT", "<+0530>-5:30"], indirect=True)
def test_the_time_zone_is_sent_by_its_name(zone: str) -> None:
    assert local_terminal().timezone == zone
    assert re.match(TIMEZONE, zone)


@pytest.mark.parametrize("zone", ["XYZ-2,M1.1.0,M2.1.0", "XYZ3:30,M1.1.0,M2.1.0"], indirect=True)
def test_a_time_zone_with_rules_of_its_own_is_sent_as_its_offset(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, sent = time.localtime().tm_gmtoff, local_terminal().timezone
    assert re.match(TIMEZONE, sent)
    monkeypatch.setenv("TZ", sent)
    time.tzset()
    assert time.localtime().tm_gmtoff == here, zone
