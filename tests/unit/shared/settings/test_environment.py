"""The environment: read once, validated, secrets covered."""

from collections.abc import Callable
from pathlib import Path

import pytest

from shared.errors import SettingsError
from shared.settings.environment import Settings

SECRETS = ("RABBITMQ_URL", "HUTCH_STORE", "OPENAI_API_KEY")


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SECRETS, "OPENAI_BASE_URL", "OPENAI_MODEL"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    assert Settings.from_environment().api_key is None


def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUTCH_DRAIN_S", "soon")
    with pytest.raises(SettingsError, match=r"HUTCH_DRAIN_S.*write a number"):
        Settings.from_environment()


def test_without_a_broker_the_sentence_names_the_variable_to_set() -> None:
    with pytest.raises(SettingsError, match=r"no broker: set RABBITMQ_URL"):
        Settings.from_environment().broker()


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RABBITMQ_URL", "amqp://user:hidden@host/")
    monkeypatch.setenv("OPENAI_API_KEY", "hidden")
    settings = Settings.from_environment()
    assert "hidden" not in repr(settings)
    assert settings.broker() == "amqp://user:hidden@host/"


def test_secrets_come_from_files_too_as_they_are_now(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in SECRETS:
        (tmp_path / name).write_text(f"old {name}\n")
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / name))
    settings = Settings.from_environment()
    key = settings.key()
    assert key is not None
    held = settings.broker(), settings.store(), key.get_secret_value()
    assert held == ("old RABBITMQ_URL", "old HUTCH_STORE", "old OPENAI_API_KEY")
    assert "old" not in repr(settings)
    (tmp_path / "RABBITMQ_URL").write_text("new")
    assert settings.broker() == "new"


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_given_twice_is_refused_by_both_names(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "hidden")
    monkeypatch.setenv(f"{name}_FILE", "/nowhere")
    with pytest.raises(SettingsError, match=f"^{name} and {name}_FILE are both set"):
        Settings.from_environment()
    monkeypatch.setenv(f"{name}_FILE", "")
    Settings.from_environment()


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "a file that can't be read: '.*secret'"),
        (b"\n", "an empty file: '.*secret'"),
        (b"\xff\xfe", "a file that can't be read"),
    ],
)
def test_a_secrets_file_without_a_secret_is_reported_at_the_start(
    name: str, content: bytes | None, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv(f"{name}_FILE", str(file))
    with pytest.raises(SettingsError, match=f"^{name}_FILE names {said}"):
        Settings.from_environment()


@pytest.mark.parametrize(
    ("variable", "value", "read"),
    [
        ("OPENAI_BASE_URL", "http://host/v1\n", lambda it: it.base_url == "http://host/v1"),
        ("OPENAI_MODEL", " tiny\n", lambda it: it.model == "tiny"),
        ("OPENAI_API_KEY", "key\n", lambda it: it.key().get_secret_value() == "key"),
        ("RABBITMQ_URL", "amqp://host/\n", lambda it: it.broker() == "amqp://host/"),
        ("HUTCH_STORE", "sqlite:///it.db\n", lambda it: it.store() == "sqlite:///it.db"),
    ],
)
def test_space_around_a_value_is_no_part_of_it(
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    read: Callable[[Settings], bool],
) -> None:
    monkeypatch.setenv(variable, value)
    assert read(Settings.from_environment())


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OPENAI_CUSTOM_HEADERS", "no header"),
        ("OPENAI_CUSTOM_HEADERS", "X-Gateway: ключ"),
        ("OPENAI_CUSTOM_HEADERS", "X Gateway: hidden"),
        ("OPENAI_ORG_ID", "one\ntwo"),
        ("OPENAI_PROJECT_ID", "größe"),
    ],
)
def test_a_value_that_no_header_can_carry_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"^the variable {variable} is wrong: write ") as caught:
        Settings.from_environment()
    assert value not in str(caught.value)
