from __future__ import annotations

import pytest

from services.agent.llm.profiles import profile


@pytest.mark.parametrize(
    ("url", "null"), [("https://api.openai.com/v1", True), ("http://localhost:11434/v1", False)]
)
def test_profiles_are_chosen_by_the_endpoints_host(url: str, null: bool) -> None:
    assert profile(url).null_content == null


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://mine.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("http://localhost:8000/v1", "max_tokens"),
        ("https://openai.example.org/v1", "max_tokens"),
    ],
)
def test_profiles_name_the_limit_of_a_reply(url: str, name: str) -> None:
    assert profile(url).output_limit == name
