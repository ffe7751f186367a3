"""A tool's options in an agent's file."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from shared.definitions.model import Definition
from shared.definitions.tools.choice import ToolChoice

EARLIER = '{"name":"ann","tools":[{"function":"t.py:f","repeatable":true}]}'


def test_options_without_a_value_are_not_stored_and_earlier_versions_had_none() -> None:
    definition = Definition.model_validate_json(EARLIER)
    assert definition.tools == (ToolChoice(function="t.py:f", repeatable=True),)
    assert '"tools":[{"function":"t.py:f","repeatable":true}]' in definition.model_dump_json()


def test_options_survive_being_stored() -> None:
    choice = ToolChoice.model_validate(
        {
            "function": "t.py:Shop.find",
            "timeout": "1m30s",
            "concurrency": 2,
            "max_result": 1000,
            "rename": "find",
            "description": "Finds.",
        }
    )
    assert choice.timeout == timedelta(seconds=90)
    definition = Definition(name="ann", tools=(choice,))
    assert Definition.model_validate_json(definition.model_dump_json()).tools == (choice,)


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ({"function": "a/b.py:find"}, "find"),
        ({"function": "b.py:Shop.find"}, "find"),
        ({"function": "b.py:größe"}, "gr__e"),
        ({"function": "b.py:find", "rename": "find-order"}, "find-order"),
    ],
)
def test_a_model_calls_a_tool_by_its_new_name_or_the_functions(
    choice: dict[str, str], name: str
) -> None:
    assert ToolChoice.model_validate(choice).name == name


@pytest.mark.parametrize(
    "option",
    [
        {"timeout": 5},
        {"timeout": "0s"},
        {"concurrency": 0},
        {"concurrency": True},
        {"max_result": 99},
        {"max_result": 1_000_000},
        {"rename": "find order"},
        {"description": ""},
    ],
)
def test_an_option_with_no_meaning_is_refused(option: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(option))):
        ToolChoice.model_validate({"function": "t.py:f", **option})


@pytest.mark.parametrize(
    ("other", "is_refused"),
    [({"function": "u.py:f"}, True), ({"function": "u.py:f", "rename": "g"}, False)],
)
def test_tools_of_one_name_need_a_new_one(other: dict[str, str], is_refused: bool) -> None:
    fields = {"name": "ann", "tools": ["t.py:f", other]}
    if is_refused:
        with pytest.raises(ValidationError, match="called 'f' for the model; rename one"):
            Definition.model_validate(fields)
    else:
        assert len(Definition.model_validate(fields).tools) == 2
