"""Made-up arguments fit the schema they are made for."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import jsonschema
from pydantic import BaseModel, Field

from services.scripted.arguments import arguments_for
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
