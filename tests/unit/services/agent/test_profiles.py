from __future__ import annotations

import pytest

from services.agent.profiles import profile


@pytest.mark.parametrize(
    ("url", "null"), [("https://api.openai.com/v1", True), ("http://localhost:11434/v1", False)]
)
def test_profiles_tell_endpoints_apart(url: str, null: bool) -> None:
    assert profile(url).null_content == null
