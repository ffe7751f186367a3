"""The provider of a running 'hutch up', for other commands in its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.cli.machine.home import HOME
from services.cli.machine.models import Provider
from services.cli.up.provider import recorded, served_here
from tests.support.command_line import hutch


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with an agent, and no model in the environment."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "bob.yaml").write_text("{name: bob, preamble: Be brief.}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HUTCH_AGENTS", "agents")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"):
        monkeypatch.delenv(name, raising=False)


def test_a_provider_is_known_while_its_up_runs(tmp_path: Path) -> None:
    assert served_here(HOME) is None
    with recorded(HOME, Provider.LOCAL):
        assert served_here(HOME) is Provider.LOCAL
    assert served_here(HOME) is None
    with recorded(HOME, Provider.OPENAI):  # the model of the environment, for which advice holds
        assert served_here(HOME) is None


def test_what_a_killed_up_has_left_counts_no_longer() -> None:
    (HOME / "up").mkdir(parents=True)
    (HOME / "up" / "1.provider").write_text("scripted")
    assert served_here(HOME) is None


def test_a_folder_that_cannot_be_written_hinders_nothing() -> None:
    HOME.write_text("a file, where the folder should be")
    with recorded(HOME, Provider.SCRIPTED):
        assert served_here(HOME) is None


def test_check_and_doctor_miss_no_model_while_one_is_served_here() -> None:
    assert "bob can't start with these settings" in hutch("check").stdout
    assert "not seen: endpoints: the models of bob" in hutch("doctor").stdout
    with recorded(HOME, Provider.SCRIPTED):
        assert "can't start" not in hutch("check").stdout
        found = hutch("doctor").stdout
    assert "model: scripted, of the 'hutch up' that runs here" in found
    assert "endpoints" not in found
