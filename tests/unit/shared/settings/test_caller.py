from __future__ import annotations

import getpass

import pytest

from shared.settings.caller import CALLER, UNKNOWN, caller


def test_the_caller_is_the_gateways_client_or_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CALLER, raising=False)
    monkeypatch.setattr(getpass, "getuser", lambda: "tom")
    assert caller() == "tom"
    monkeypatch.setenv(CALLER, "ops key")
    assert caller() == "ops key"


def test_a_user_without_a_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 10001")

    monkeypatch.delenv(CALLER, raising=False)
    monkeypatch.setattr(getpass, "getuser", nameless)
    assert caller() == UNKNOWN
