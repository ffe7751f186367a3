"""The limits of models, from a variable or a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import SettingsError
from shared.settings.environment import Settings
from shared.settings.limits import ModelLimits
from shared.settings.mapping import first_match


def test_the_first_pattern_that_fits_has_the_limits_of_a_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "limits.yaml"
    file.write_text('gpt-5-mini: {concurrent_calls: 2}\ngpt-5*: {requests_per_minute: 60}\n"*": {}')
    monkeypatch.setenv("HUTCH_LIMITS", str(file))
    limits = Settings.from_environment().limits
    assert first_match(limits, "gpt-5-mini") == ("gpt-5-mini", ModelLimits(concurrent_calls=2))
    assert first_match(limits, "gpt-5.6") == ("gpt-5*", ModelLimits(requests_per_minute=60))
    assert first_match(limits, "qwen3") == ("*", ModelLimits())


def test_without_the_variable_no_model_is_limited() -> None:
    assert first_match(Settings.from_environment().limits, "gpt-5") is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "it is neither YAML nor JSON"),
        ("/gone.yaml", "the file '/gone.yaml' can't be read"),
        ('{"a": 1}', "a is wrong"),
        ('{"a": {"rpm": 1}}', "rpm.*unknown key; known are concurrent_calls"),
        ('{"a": {"requests_per_minute": 0}}', "requests_per_minute.*at least 1"),
        ('{"a": {"concurrent_calls": true}}', "concurrent_calls.*whole number"),
    ],
)
def test_a_wrong_limit_is_one_sentence_that_names_it(
    monkeypatch: pytest.MonkeyPatch, text: str, fault: str
) -> None:
    monkeypatch.setenv("HUTCH_LIMITS", text)
    with pytest.raises(SettingsError, match=rf"the variable HUTCH_LIMITS.*{fault}") as caught:
        Settings.from_environment()
    assert "\n" not in str(caught.value)
