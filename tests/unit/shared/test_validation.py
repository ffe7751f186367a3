"""The sentences on values that pydantic refuses: none has a word of pydantic's own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError

from services.agent.loop.tool_calls import WorkerArguments
from shared.contract.messages import AnyMessage, Event
from shared.contract.stream import StreamPart
from shared.definitions.model import Definition
from shared.settings.environment import LocalSettings, ScriptedSettings, Settings
from shared.settings.gateway import GatewaySettings
from shared.settings.prices import Price
from shared.validation import first_fault, keys, sentence

FOREIGN = re.compile(
    r"input should|\bvalid\b|dictionary|instance|tuple|integer|string|field required|extra inputs|"
    r"parse|timezone info|pattern|discriminator|\{\w+\}",
    re.IGNORECASE,
)
ROOTS = (
    Definition,
    *get_args(AnyMessage),
    Event,
    StreamPart,
    Settings,
    GatewaySettings,
    ScriptedSettings,
    LocalSettings,
    Price,
    WorkerArguments,
)
WRONG: tuple[object, ...] = (
    *(None, True, 5, -1, 0, 1.5, 10**30, float("inf"), float("nan"), "", "a b", "x" * 200, b"\xff"),
    *("2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
    *([], [5], ["A b"], [{}], ["a"] * 200, {}, {"no such key": 1}, {"a": {}}, object()),
)


def models(kind: object) -> Iterator[type[BaseModel]]:
    """A model and all models of its fields."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        for field in kind.model_fields.values():
            yield from models(field.annotation)
    for part in get_args(kind):
        yield from models(part)


EVERY = sorted({it for root in ROOTS for it in models(root)}, key=lambda it: it.__name__)


@pytest.mark.parametrize("model", EVERY, ids=lambda it: it.__name__)
def test_no_wrong_value_of_any_field_is_described_in_pydantics_words(
    model: type[BaseModel],
) -> None:
    refused = 0
    for name in keys(model):
        for value in WRONG:
            try:
                model.model_validate({name: value})
            except ValidationError as error:
                for fault in error.errors(include_url=False):
                    text = sentence(fault, model, verb="write")
                    refused += 1
                    assert not FOREIGN.search(text), (name, value, fault["type"], text)
                    assert "\n" not in text
    assert refused


def refusal(value: object) -> str:
    with pytest.raises(ValidationError) as caught:
        Definition.model_validate_json(json.dumps(value))
    return first_fault(caught.value, Definition)


def test_the_first_fault_has_its_field_and_not_its_value() -> None:
    assert refusal({"name": "bob", "workers": "secret"}) == "workers: expected a list"
    assert refusal({"name": "bob", "limits": {"turns": "secret"}}) == (
        "limits.turns: expected a whole number"
    )


def test_an_unknown_key_is_compared_with_those_of_its_place() -> None:
    assert refusal({"name": "bob", "Workers": []}) == "Workers: unknown key; did you mean workers?"
    assert refusal({"name": "bob", "tools": [{"function": "a.py:f", "repeatble": True}]}) == (
        "tools.0.repeatble: unknown key; did you mean repeatable?"
    )
    assert refusal({"name": "bob", "limits": {"x": 1}}) == (
        "limits.x: unknown key; known are caused_per_minute, concurrency, depth, timeout, turns"
    )


def test_a_text_that_is_not_json_is_called_so() -> None:
    with pytest.raises(ValidationError) as caught:
        Definition.model_validate_json("{")
    assert first_fault(caught.value).startswith("not JSON: ")
