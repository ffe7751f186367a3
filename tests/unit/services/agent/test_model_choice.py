"""Which model an agent speaks to: its file over the settings, and none assumed."""

from __future__ import annotations

import pytest

from services.agent.chat import (
    ChatMessage,
    System,
    User,
)
from services.agent.model import build
from shared.definitions import Definition, ModelChoice
from shared.errors import SettingsError
from shared.settings import Settings
from tests.unit.services.agent.endpoint import Answer, Endpoint, completion

HISTORY: list[ChatMessage] = [System(content="Be brief."), User(content="Hello")]


def settings(**fields: str) -> Settings:
    return Settings(_env_file=None, **fields)  # type: ignore[arg-type]  # as text, like variables


def refused(definition: Definition, settings: Settings) -> str:
    with pytest.raises(SettingsError) as caught:
        build(definition, settings)
    return str(caught.value)


ALICE = Definition(name="alice")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"):
        monkeypatch.delenv(name, raising=False)


def test_without_key_and_url_there_is_no_model() -> None:
    said = refused(ALICE, settings(model="tiny"))
    assert said.startswith("agent 'alice' has no model: set OPENAI_API_KEY")
    assert "--provider scripted" in said


@pytest.mark.parametrize("fields", [{"api_key": "k"}, {"base_url": "http://localhost/v1"}])
def test_no_name_is_assumed(fields: dict[str, str]) -> None:
    assert "names no model: set OPENAI_MODEL" in refused(ALICE, settings(**fields))


@pytest.mark.parametrize(
    "url", ["localhost:8080", "ftp://host/", "http://", "http://[", "http://h:x"]
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    assert "like https://host/v1" in refused(ALICE, settings(model="tiny", base_url=url))


def test_a_key_that_no_header_carries_is_refused_without_telling_it() -> None:
    said = refused(ALICE, settings(model="tiny", api_key="ключ"))
    assert "OPENAI_API_KEY" in said
    assert "ключ" not in said


def test_a_variable_that_the_file_names_must_be_set() -> None:
    choice = ModelChoice(name="tiny", api_key_env="ALICES_KEY")
    said = refused(Definition(name="alice", model=choice), settings(api_key="k"))
    assert said == "agent 'alice' wants its key from ALICES_KEY, which is not set"


async def test_the_file_wins_over_the_settings(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALICES_KEY", "alices")
    choice = ModelChoice(name="hers", base_url=endpoint.url, api_key_env="ALICES_KEY")
    model = build(Definition(name="alice", model=choice), settings(model="ours", api_key="ours"))
    endpoint.script = [Answer(completion(content="Hi."))]
    await model.complete(HISTORY, [])
    await model.close()
    assert (endpoint.requests[0]["model"], endpoint.keys) == ("hers", ["Bearer alices"])


async def test_our_key_is_not_sent_to_an_endpoint_of_the_file(endpoint: Endpoint) -> None:
    choice = ModelChoice(base_url=endpoint.url)
    model = build(Definition(name="alice", model=choice), settings(model="ours", api_key="ours"))
    endpoint.script = [Answer(completion(content="Hi."))]
    await model.complete(HISTORY, [])
    await model.close()
    assert endpoint.keys == ["Bearer none"]
