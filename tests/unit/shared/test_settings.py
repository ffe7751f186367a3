"""The environment: read once, validated, secrets covered."""

import pytest

from shared.errors import SettingsError
from shared.settings import Settings, secret


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RABBITMQ_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"):
        monkeypatch.delenv(name, raising=False)


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    assert Settings.from_environment().api_key is None


def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUTCH_DRAIN_S", "soon")
    with pytest.raises(SettingsError, match=r"HUTCH_DRAIN_S.*valid number"):
        Settings.from_environment()


def test_without_a_broker_the_sentence_says_what_to_set() -> None:
    with pytest.raises(SettingsError, match=r"no broker: set RABBITMQ_URL"):
        Settings.from_environment().broker()


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RABBITMQ_URL", "amqp://user:hidden@host/")
    monkeypatch.setenv("OPENAI_API_KEY", "hidden")
    settings = Settings.from_environment()
    assert "hidden" not in repr(settings)
    assert settings.broker() == "amqp://user:hidden@host/"


def test_an_agent_names_the_variable_of_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOBS_KEY", "hidden")
    key = secret("BOBS_KEY")
    assert key is not None
    assert key.get_secret_value() == "hidden"
    assert secret("NOBODYS_KEY") is None
