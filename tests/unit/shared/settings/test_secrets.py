"""Secrets in variables and in the files that variables name."""

from pathlib import Path

import pytest

from shared.settings.secrets import secret


def test_an_agent_names_the_variable_of_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOBS_KEY", "hidden")
    key = secret("BOBS_KEY")
    assert key is not None
    assert key.get_secret_value() == "hidden"
    assert secret("NOBODYS_KEY") is None


def test_the_key_that_an_agent_names_may_be_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("hidden")
    monkeypatch.setenv("BOBS_KEY_FILE", str(tmp_path / "key"))
    key = secret("BOBS_KEY")
    assert key is not None
    assert key.get_secret_value() == "hidden"
