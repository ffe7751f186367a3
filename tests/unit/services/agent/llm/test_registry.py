"""The choice of an agent's model: its file before the settings, and no default."""

from __future__ import annotations

import pytest

from services.agent.llm.chat import ChatMessage, Request, System, User
from services.agent.llm.registry import build
from shared.definitions.model import Definition, ModelChoice
from shared.errors import ModelError, SettingsError
from shared.settings.environment import Settings
from tests.support.model.endpoint import Answer, Endpoint, completion

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
    "url",
    [
        "localhost:8080",
        "ftp://host/",
        "http://",
        "http://[",
        "http://h:x",
        "http://h/a b",
        "http://h\x01/",
    ],
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    assert "like https://host/v1" in refused(ALICE, settings(model="tiny", base_url=url))


def test_a_key_that_no_header_can_carry_is_refused_without_being_shown() -> None:
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
    await model.complete(Request(HISTORY))
    await model.close()
    assert (endpoint.requests[0]["model"], endpoint.keys) == ("hers", ["Bearer alices"])


async def test_our_key_is_not_sent_to_an_endpoint_of_the_file(endpoint: Endpoint) -> None:
    choice = ModelChoice(base_url=endpoint.url)
    model = build(Definition(name="alice", model=choice), settings(model="ours", api_key="ours"))
    endpoint.script = [Answer(completion(content="Hi."))]
    await model.complete(Request(HISTORY))
    await model.close()
    assert endpoint.keys == ["Bearer none"]


SECRETS = {
    "OPENAI_CUSTOM_HEADERS": "X-Gateway: hidden-1\nuser-agent: hidden-2\nAuthorization: hidden-3",
    "OPENAI_ORG_ID": "hidden-4",
    "OPENAI_PROJECT_ID": "hidden-5",
    "OPENAI_ADMIN_KEY": "hidden-6",
    "OPENAI_WEBHOOK_SECRET": "hidden-7",
}


async def sent(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, choice: ModelChoice, base_url: str
) -> dict[str, str]:
    """The headers of a call, where the environment has all that the package reads."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ALICES_KEY", "alices")
    made = Settings(
        _env_file=None, OPENAI_MODEL="m", OPENAI_API_KEY="ours", OPENAI_BASE_URL=base_url
    )
    model = build(Definition(name="alice", model=choice), made)
    endpoint.script = [Answer(completion(content="Hi."))]
    await model.complete(Request(HISTORY))
    await model.close()
    return endpoint.headers[0]


async def test_headers_of_the_environment_go_where_the_key_goes(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = await sent(endpoint, monkeypatch, ModelChoice(), endpoint.url)
    assert headers["authorization"] == "Bearer ours"
    got = [headers[it] for it in ("x-gateway", "openai-organization", "openai-project")]
    assert got == ["hidden-1", "hidden-4", "hidden-5"]


@pytest.mark.parametrize("key", [None, "ALICES_KEY"])
async def test_nothing_of_the_environment_reaches_an_endpoint_of_the_file(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    choice = ModelChoice(base_url=endpoint.url, api_key_env=key)
    headers = await sent(endpoint, monkeypatch, choice, "http://127.0.0.1:1/v1")
    assert "hidden" not in str(headers)
    assert headers["authorization"] == ("Bearer alices" if key else "Bearer none")


async def test_headers_of_the_environment_do_not_go_with_another_key(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = ModelChoice(api_key_env="ALICES_KEY")
    assert "hidden" not in str(await sent(endpoint, monkeypatch, choice, endpoint.url))


async def test_no_key_or_header_follows_a_redirect(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Endpoint().serving() as other:
        endpoint.script = [
            Answer(status=307, headers={"location": f"{other.url}/chat/completions"})
        ]
        model = build(ALICE, settings(model="tiny", base_url=endpoint.url))
        with pytest.raises(ModelError, match=f"redirects to {other.url}"):
            await model.complete(Request(HISTORY))
        await model.close()
        assert other.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "https://mine.openai.azure.com",
        "https://mine.openai.azure.com/openai",
        "https://mine.openai.azure.com/openai/deployments/gpt",
    ],
)
def test_an_azure_address_without_a_model_is_refused_at_the_start(url: str) -> None:
    assert "https://NAME.openai.azure.com/openai/v1" in refused(
        ALICE, settings(model="tiny", base_url=url)
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://mine.openai.azure.com/openai/v1/",
        "https://mine.openai.azure.com/openai/deployments/gpt?api-version=2024-10-21",
    ],
)
def test_both_addresses_of_azure_are_taken(url: str) -> None:
    assert build(ALICE, settings(model="tiny", base_url=url)).profile.name.startswith("azure")


@pytest.mark.parametrize("end", ["", "/chat/completions"])
async def test_a_deployment_gets_its_key_and_version_as_it_wants_them(
    endpoint: Endpoint, end: str
) -> None:
    url = f"{endpoint.url}/openai/deployments/gpt{end}?api-version=2024-10-21"
    choice = ModelChoice(profile="azure-deployment")
    definition = Definition(name="alice", model=choice)
    model = build(definition, settings(model="tiny", api_key="ours", base_url=url))
    endpoint.script = [Answer(completion(content="Hi."))]
    await model.complete(Request(HISTORY))
    await model.close()
    path = "/v1/openai/deployments/gpt/chat/completions?api-version=2024-10-21"
    assert endpoint.addresses == [path]
    assert endpoint.headers[0]["api-key"] == "ours"
    assert endpoint.keys == [None]


async def test_a_files_choices_are_sent_and_its_extra_fields_last(endpoint: Endpoint) -> None:
    choice = ModelChoice(
        temperature=0.5,
        reasoning="low",
        max_output_tokens=100,
        extra={"max_tokens": 200, "service_tier": "flex"},
    )
    model = build(
        Definition(name="alice", model=choice), settings(model="tiny", base_url=endpoint.url)
    )
    endpoint.script = [Answer(completion(content="Hi."))]
    await model.complete(Request(HISTORY))
    await model.close()
    sent = endpoint.requests[0]
    assert {key: sent[key] for key in ("temperature", "reasoning_effort", "max_tokens")} == {
        "temperature": 0.5,
        "reasoning_effort": "low",
        "max_tokens": 200,
    }
    assert sent["service_tier"] == "flex"


@pytest.mark.parametrize(("budget", "sent"), [(None, 100), (70, 70), (700, 100)])
async def test_the_smaller_limit_of_a_reply_is_sent(
    endpoint: Endpoint, budget: int | None, sent: int
) -> None:
    definition = Definition(name="alice", model=ModelChoice(max_output_tokens=100))
    model = build(definition, settings(model="tiny", base_url=endpoint.url))
    endpoint.script = [Answer(completion(content="Hi."))]
    await model.complete(Request(HISTORY, most_tokens=budget))
    await model.close()
    assert endpoint.requests[0]["max_tokens"] == sent


def test_a_context_that_the_file_names_wins() -> None:
    known = ModelChoice(name="gpt-4o", context=9_000)
    definition = Definition(name="alice", model=known)
    assert build(definition, settings(api_key="k")).window == 9_000
    assert build(ALICE, settings(api_key="k", model="gpt-4o")).window == 128_000
