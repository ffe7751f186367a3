"""Arguments as models send them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import JsonValue

from tests.support.tool_file import failure, tool


async def test_a_default_stands_in_for_an_absent_argument(tmp_path: Path) -> None:
    made = tool(tmp_path, "def lookup(a: str, *, b: str = 'B') -> str:\n    return a + b")
    assert await made.call({"a": "A"}) == "AB"


async def test_arguments_are_validated_before_the_function_sees_them(tmp_path: Path) -> None:
    made = tool(tmp_path, "def lookup(n: int) -> str:\n    return repr(n)")
    assert await made.call({"n": "5"}) == "5"
    assert "n: expected a whole number" in await failure(made, n="five")
    assert "n: the key is missing" in await failure(made)
    assert "m: unknown key" in await failure(made, n=1, m=2)


@pytest.mark.parametrize(
    ("hint", "default", "sent", "got"),
    [
        ("int", "10", None, "10"),
        ("int", "10", "null", "10"),
        ("list[str]", "()", None, "()"),
        ("int | None", "10", None, "None"),
        ("int | None", "10", "null", "None"),
        ("str | None", "'x'", None, "None"),
        ("str", "'x'", "null", "'null'"),
    ],
)
async def test_null_where_nothing_may_be_null_is_the_default(
    tmp_path: Path, hint: str, default: str, sent: JsonValue, got: str
) -> None:
    source = f"def lookup(most: {hint} = {default}) -> str:\n    return repr(most)"
    assert await tool(tmp_path, source).call({"most": sent}) == got


async def test_null_without_a_default_is_refused(tmp_path: Path) -> None:
    made = tool(tmp_path, "def lookup(n: int) -> int:\n    return n")
    assert "n: expected a whole number" in await failure(made, n=None)


@pytest.mark.parametrize(
    ("hint", "sent", "got"),
    [
        ("int", "5", "5"),
        ("int", "5.0", "5"),
        ("bool", "true", "True"),
        ("list[int]", "[1, 2]", "[1, 2]"),
        ("list[str]", '["a"]', "['a']"),
        ("list[str]", "1.10, 2e5", "['1.10', '2e5']"),
        ("list[int]", "1, 2", "[1, 2]"),
        ("dict[str, int]", '{"a": 1}', "{'a': 1}"),
        ("list[int] | int", "[1]", "[1]"),
        ("Literal[1, 2]", "2", "2"),
        ("str", "5", "'5'"),
        ("str", "[1]", "'[1]'"),
        ("str", 5, "'5'"),
        ("int | str", 5, "5"),
        ("int | str", "5", "'5'"),
        ("list[str]", [5], "['5']"),
    ],
)
async def test_a_text_is_parsed_as_the_hinted_type_where_only_that_fits(
    tmp_path: Path, hint: str, sent: JsonValue, got: str
) -> None:
    source = f"from typing import Literal\ndef lookup(it: {hint}) -> str:\n    return repr(it)"
    assert await tool(tmp_path, source).call({"it": sent}) == got


async def test_an_object_as_text_is_one(tmp_path: Path) -> None:
    source = """
from pydantic import BaseModel
class Order(BaseModel):
    id: int
def lookup(order: Order) -> int:
    return order.id
"""
    assert await tool(tmp_path, source).call({"order": '{"id": 7}'}) == "7"


@pytest.mark.parametrize("sent", ["one", "[1", "{}", "NaN"])
async def test_a_text_that_cannot_be_parsed_as_the_hinted_type_is_refused(
    tmp_path: Path, sent: str
) -> None:
    made = tool(tmp_path, "def lookup(ids: list[int]) -> list[int]:\n    return ids")
    assert "ids: expected a list" in await failure(made, ids=sent)


@pytest.mark.parametrize(
    ("hint", "sent"),
    [
        ("datetime.date", "20261201"),
        ("datetime.datetime", 2026),
        ("datetime.time", "930"),
        ("list[datetime.date]", ["20261201"]),
        ("float", "Infinity"),
        ("float", "1e999"),
    ],
)
async def test_a_number_that_is_no_time_and_a_number_that_json_does_not_have_are_refused(
    tmp_path: Path, hint: str, sent: JsonValue
) -> None:
    made = tool(tmp_path, f"import datetime\ndef lookup(x: {hint}) -> str:\n    return str(x)")
    assert "x" in await failure(made, x=sent)


def test_the_array_of_a_tuple_has_items(tmp_path: Path) -> None:
    made = tool(tmp_path, "def lookup(place: tuple[float, float]) -> str:\n    return 'x'")
    properties = made.parameters["properties"]
    assert isinstance(properties, dict)
    place = properties["place"]
    assert isinstance(place, dict)
    assert (place["type"], place["items"]) == ("array", {})


async def test_a_text_that_a_validator_refuses_is_not_parsed_and_tried_again(
    tmp_path: Path,
) -> None:
    source = """
from typing import Annotated
from pydantic import BeforeValidator
def check(value):
    if not value.startswith('A'):
        raise ValueError('it begins with A')
    return value
def lookup(order: Annotated[str, BeforeValidator(check)]) -> str:
    return order
"""
    assert "order: it begins with A" in await failure(tool(tmp_path, source), order="12")


def test_the_schema_names_the_defaults_that_json_can_say(tmp_path: Path) -> None:
    source = """
from enum import Enum
class Order(Enum):
    OLD = 'old'
def lookup(
    most: int = 10,
    order: Order = Order.OLD,
    note: str | None = None,
    limit: float = float('inf'),
    odd: int = object(),
    api_key: str = 'sk-hidden',
) -> None: ...
"""
    made = tool(tmp_path, source)
    properties = made.parameters["properties"]
    assert isinstance(properties, dict)
    defaults = {
        name: schema["default"]
        for name, schema in properties.items()
        if isinstance(schema, dict) and "default" in schema
    }
    assert defaults == {"most": 10, "order": "old", "note": None}
    assert "required" not in made.parameters
