"""Made-up arguments fit the schema they are made for."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field

from services.scripted.arguments import arguments_for, has_arguments
from services.scripted.conversation import Schema


class Colour(StrEnum):
    RED = "red"


class Part(BaseModel):
    size: float
    colour: Colour


class Order(BaseModel):
    prompt: str
    count: int = Field(ge=3)
    urgent: bool
    kind: Literal["a", "b"]
    fixed: Literal["x"]
    parts: list[Part]
    note: int | None
    nothing: None
    context: str | None = None


def test_every_required_field_is_filled_to_its_type() -> None:
    schema = Order.model_json_schema()
    made = arguments_for(schema, "a text")
    jsonschema.validate(made, schema)
    assert made["prompt"] == "a text"
    assert "context" not in made


def test_a_tool_without_parameters_gets_none() -> None:
    assert arguments_for({}, "a text") == {}


def test_a_number_is_taken_from_the_text() -> None:
    schema: Schema = {"properties": {"number": {"type": "integer"}}, "required": ["number"]}
    assert arguments_for(schema, "Where is order 17?") == {"number": 17}


@pytest.mark.parametrize(
    ("name", "field", "text", "value"),
    [
        ("day", {"type": "string"}, "Which day is 2026-12-01?", "2026-12-01"),
        ("due", {"type": "string", "format": "date"}, "By 2026-12-01.", "2026-12-01"),
        ("reply_email", {"type": "string"}, "Tell ann@b.example.", "ann@b.example"),
        ("url", {"type": "string"}, "Read https://a.example/x now", "https://a.example/x"),
        ("number", {"type": "integer"}, "Where is order 17?", 17),
    ],
)
def test_a_value_of_a_form_of_its_own_is_taken_from_the_text_or_missing(
    name: str, field: Schema, text: str, value: object
) -> None:
    schema: Schema = {"properties": {name: field}, "required": [name]}
    assert has_arguments(schema, text)
    assert arguments_for(schema, text) == {name: value}
    assert not has_arguments(schema, "What is the capital of France?")


def test_any_text_is_an_argument_without_a_form() -> None:
    schema: Schema = {"properties": {"topic": {"type": "string"}}, "required": ["topic"]}
    assert has_arguments(schema, "What is the capital of France?")
