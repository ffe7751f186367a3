"""MCP servers in an agent's file."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shared.definitions.model import Definition
from shared.validation import first_fault


def definition(*servers: object, **more: object) -> Definition:
    return Definition.model_validate({"name": "clerk", "mcp": servers, **more})


def test_a_command_is_a_line_or_a_list_of_words() -> None:
    line, words = definition(
        {"name": "a", "command": "uvx mcp-server-time '--local-timezone=Etc/UTC'"},
        {"name": "b", "command": ["a b", "c"]},
    ).mcp
    assert line.command == ("uvx", "mcp-server-time", "--local-timezone=Etc/UTC")
    assert words.command == ("a b", "c")


def test_names_of_tools_can_have_stars() -> None:
    chosen = {"allow": ["get_*"], "deny": ["get_all"], "repeatable": ["*_1"]}
    [shop] = definition({"name": "s", "command": "x", **chosen}).mcp
    assert [it for it in ("get_1", "get_all", "put_1") if shop.has(it)] == ["get_1"]
    assert shop.may_repeat("get_1")
    assert not shop.may_repeat("get_2")


def test_what_is_not_written_is_not_stored_with_a_run() -> None:
    """An earlier version can read the definitions of agents without servers."""
    assert "mcp" not in Definition(name="clerk").model_dump_json()
    stored = definition({"name": "s", "command": "x"}).model_dump(mode="json")["mcp"]
    assert stored == [{"name": "s", "command": ["x"], "timeout": "60s"}]
    assert definition(*stored).mcp[0].command == ("x",)


@pytest.mark.parametrize(
    ("servers", "fault"),
    [
        ([{"name": "s"}], "write either 'command' or 'url'"),
        ([{"name": "s", "command": "x", "url": "http://a/"}], "write either 'command' or 'url'"),
        ([{"name": "s", "command": "x '"}], "the command's quotes are wrong"),
        ([{"name": "s", "command": ""}], "a list of 1 or more"),
        ([{"name": "s", "url": "ftp://a/"}], "write an address like https://host/mcp"),
        ([{"name": "s", "url": "https://u:p@a/"}], "a password belongs into headers_env"),
        ([{"name": "s", "url": "https://a/ b"}], "write an address like https://host/mcp"),
        ([{"name": "s", "url": "http://a", "env": ["A"]}], "a 'url' has 'headers_env'"),
        ([{"name": "s", "command": "x", "headers_env": {"A": "B"}}], "a 'command' has 'env'"),
        (
            [{"name": "s", "url": "http://a", "headers_env": {"A": "Bearer x"}}],
            "name of a variable",
        ),
        ([{"name": "s", "url": "http://a", "headers_env": {"A:": "X"}}], "the name of a header"),
        ([{"name": "S", "command": "x"}], "expected a name such as bob"),
        ([{"name": "s", "command": "x"}] * 2, "'s' occurs twice"),
        (
            [{"name": "s", "command": "x", "prefix": ""}, {"name": "t", "command": "x"}],
            "the prefix '' begins another server's",
        ),
    ],
)
def test_faults_are_named(servers: list[object], fault: str) -> None:
    with pytest.raises(ValidationError) as error:
        definition(*servers)
    assert fault in first_fault(error.value, Definition)


def test_guardrails_can_name_tools_of_servers() -> None:
    rule = {"after_untrusted": {"deny": ["shop_pay"], "trust": ["shop_lookup"]}}
    assert definition({"name": "shop", "command": "x"}, guardrails=rule).guardrails
    with pytest.raises(ValidationError, match="no tool or worker 'other_pay'"):
        definition(
            {"name": "shop", "command": "x"},
            guardrails={"after_untrusted": {"deny": ["other_pay"]}},
        )
