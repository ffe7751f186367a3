from __future__ import annotations

from typing import get_args

import pytest
from pydantic import TypeAdapter

from services.agent.llm.fallbacks import FALLBACKS
from shared.definitions.model import ProfileName
from shared.definitions.models.profiles import PROFILES, Profile, profile


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://eu.api.openai.com/v1", "openai"),
        ("https://mine.openai.azure.com/openai/v1", "azure"),
        ("https://mine.openai.azure.com/openai/deployments/a?api-version=1", "azure-deployment"),
        ("https://mine.services.ai.azure.com/openai/v1/", "azure"),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "gemini"),
        ("https://us-central1-aiplatform.googleapis.com/v1/projects/p", "gemini"),
        ("https://API.DeepSeek.com", "deepseek"),
        ("https://api.mistral.ai/v1", "mistral"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("http://localhost:1234/v1", "lmstudio"),
        ("http://127.0.0.1:11434/v1", "ollama"),
        ("http://ollama/v1", "ollama"),
        ("https://api.anthropic.com/v1", "anthropic"),
        ("https://api.cloudflare.com/client/v4/accounts/a/ai/v1", "cloudflare"),
        ("https://api.moonshot.ai/v1", "kimi"),
        ("https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1", "bedrock"),
        ("https://api.githubcopilot.com", "copilot"),
        ("http://localhost:8000/v1", "generic"),
        ("https://openai.example.org/v1", "generic"),
        ("https://api.openai.com.example.org/v1", "generic"),
        ("https://notopenai.azure.com/openai/v1", "generic"),
        ("https://ec2-1-2-3-4.compute.amazonaws.com/v1", "generic"),
    ],
)
def test_a_profile_is_found_by_the_whole_host(url: str, name: str) -> None:
    assert profile(url, "m").name == name


def test_a_profile_that_is_named_wins_over_the_host() -> None:
    assert profile("https://api.openai.com/v1", "m", "vllm").name == "vllm"


def test_every_name_that_a_file_may_say_has_one_row() -> None:
    assert sorted(row.name for row in PROFILES) == sorted(get_args(ProfileName))
    assert PROFILES[-1].name == "generic"


CHANGES = [it.change for it in FALLBACKS] + [it for row in PROFILES for _, it in row.models]


def test_changes_by_models_and_refusals_are_fields_with_values_of_their_types() -> None:
    for change in CHANGES:
        read = TypeAdapter(Profile).validate_python(change)
        for name, value in change.items():
            assert (getattr(read, name), type(getattr(read, name))) == (value, type(value))


@pytest.mark.parametrize(
    ("model", "field", "value"),
    [
        ("gpt-5.6", "tools_effort", "none"),
        ("gpt-6-sol", "tools_effort", "none"),
        ("gpt-5.1", "tools_effort", None),
        ("gpt-5", "temperature", False),
        ("o3", "temperature", False),
        ("gpt-4.1", "temperature", True),
        ("gpt-4.1", "encrypted_reasoning", False),
        ("o3", "encrypted_reasoning", True),
        ("o1-mini", "system_role", False),
        ("o1", "system_role", True),
    ],
)
def test_a_profile_depends_on_the_model(model: str, field: str, value: object) -> None:
    assert getattr(profile("https://api.openai.com/v1", model), field) == value


@pytest.mark.parametrize(
    ("url", "model", "window"),
    [
        ("https://api.openai.com/v1", "gpt-5.6-sol", 1_000_000),
        ("https://api.openai.com/v1", "gpt-5.4-mini", 400_000),
        ("https://api.openai.com/v1", "gpt-4o-mini", 128_000),
        ("https://api.openai.com/v1", "gpt-4", 8_192),
        ("https://openrouter.ai/api/v1", "anthropic/claude-sonnet-4.5", 200_000),
        ("https://api.anthropic.com/v1", "claude-opus-5-5", 1_000_000),
        ("https://api.moonshot.ai/v1", "kimi-k2-0711-preview", 131_072),
        ("https://api.groq.com/openai/v1", "openai/gpt-oss-120b", 131_072),
        ("http://localhost:11434/v1", "qwen3", 4_096),
        ("http://localhost:8000/v1", "mine", None),
    ],
)
def test_a_context_is_as_long_as_the_model_and_the_endpoint_allow(
    url: str, model: str, window: int | None
) -> None:
    assert profile(url, model).context(model) == window
