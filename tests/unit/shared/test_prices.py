"""The cost of tokens, by the settings and by the package."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.contract.messages import Usage
from shared.errors import SettingsError
from shared.prices import PriceList
from shared.settings.environment import Settings
from shared.settings.prices import Price

OPENAI = "https://api.openai.com/v1"
LOCAL = "http://127.0.0.1:8080/v1"
NOW = datetime(2026, 11, 1, tzinfo=UTC)
MILLION = Usage(input_tokens=1_000_000, output_tokens=1_000_000, cached_tokens=500_000)
OWN = (
    '{"gpt-5": {"input": 1, "output": 8, "cached_input": 0.1}, "tiny*": {"input": 2, "output": 3}}'
)


def own(monkeypatch: pytest.MonkeyPatch, text: str) -> PriceList:
    monkeypatch.setenv("HUTCH_PRICES", text)
    return PriceList(Settings.from_environment().prices)


def test_a_known_model_at_its_own_endpoint_has_the_packages_price() -> None:
    assert PriceList().cost("gpt-5", OPENAI, MILLION, NOW) == 10.6875
    assert PriceList().cost("gpt-5-2025-08-07", OPENAI, MILLION, NOW) == 10.6875
    assert PriceList().knows("gpt-5", OPENAI, NOW)


@pytest.mark.parametrize(
    ("model", "base_url"), [("scripted", OPENAI), ("scripted", LOCAL), ("gpt-5", LOCAL), ("", "")]
)
def test_another_model_or_the_same_elsewhere_has_no_price(model: str, base_url: str) -> None:
    assert PriceList().cost(model, base_url, MILLION, NOW) is None
    assert not PriceList().knows(model, base_url, NOW)


def test_the_settings_prices_come_first_and_apply_everywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prices = own(monkeypatch, OWN)
    assert prices.cost("gpt-5", OPENAI, MILLION, NOW) == 0.5 + 0.05 + 8
    assert prices.cost("tiny-2", LOCAL, MILLION, NOW) == 5.0
    assert prices.cost("a-tiny", LOCAL, MILLION, NOW) is None
    assert prices.cost("gpt-4o", OPENAI, MILLION, NOW) is not None


def test_the_price_of_a_single_token_is_not_lost() -> None:
    prices = PriceList({"it": Price(input=0.01, output=0.01)})
    assert prices.cost("it", LOCAL, Usage(input_tokens=1), NOW) == 1e-8


def test_more_cached_tokens_than_input_are_counted_as_the_input() -> None:
    odd = Usage(input_tokens=10, cached_tokens=99)
    assert PriceList({"it": Price(input=1, output=1)}).cost("it", LOCAL, odd, NOW) == 1e-5
    assert PriceList().cost("gpt-5", OPENAI, odd, NOW) is not None


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_prices_can_be_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"prices.{suffix}"
    file.write_text(OWN if suffix == "json" else "tiny*: {input: 2, output: 3}\n", "utf-8")
    assert own(monkeypatch, str(file)).cost("tiny", LOCAL, MILLION, NOW) == 5.0


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "it is neither YAML nor JSON"),
        ("/gone.yaml", "the file '/gone.yaml' can't be read"),
        ('{"a": 1}', "a is wrong: write keys with values, such as .input: …."),
        ('{"a": {"input": 1}}', "output.*the key is missing"),
        ('{"a": {"input": -1, "output": 1}}', "input.*at least 0"),
        (
            '{"a": {"input": 1, "output": 1, "cache": 1}}',
            "cache.*unknown key; known are cached_input",
        ),
    ],
)
def test_a_wrong_price_is_one_sentence_that_names_it(
    monkeypatch: pytest.MonkeyPatch, text: str, fault: str
) -> None:
    with pytest.raises(SettingsError, match=rf"the variable HUTCH_PRICES.*{fault}") as caught:
        own(monkeypatch, text)
    assert "\n" not in str(caught.value)


def test_a_file_that_holds_no_mapping_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "prices.yaml").write_text("- gpt-5\n", "utf-8")
    with pytest.raises(SettingsError, match="must map model names to prices"):
        own(monkeypatch, str(tmp_path / "prices.yaml"))


def test_an_agents_process_starts_without_loading_the_prices() -> None:
    code = "import services.agent.__main__, sys; print('genai_prices' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "False"
