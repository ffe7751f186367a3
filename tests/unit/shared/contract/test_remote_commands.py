from __future__ import annotations

import pytest
from typer.core import TyperGroup

from services.cli.__main__ import COMMANDS, load
from shared.contract.remote_commands import (
    FLAGS,
    LOCAL,
    SCOPES,
    command_of,
    is_reference,
    subject_of,
    text_place,
    with_id,
)


def test_each_command_is_executed_at_the_gateway_or_here() -> None:
    names = set()
    for name in COMMANDS:
        command = load(name)
        parts = command.commands if isinstance(command, TyperGroup) else {}
        names |= {f"{name} {part}" for part in parts} or {name}
    assert names == set(SCOPES) | set(LOCAL)
    assert not set(SCOPES) & set(LOCAL)


def test_all_options_of_commands_with_a_text_have_a_value_except_the_known_flags() -> None:
    for name in ("ask", "send", "trigger", "broadcast"):
        options = [it for it in load(name).params if it.param_type_name == "option"]
        flags = {it.opts[0] for it in options if it.is_flag}  # type: ignore[attr-defined]
        assert flags <= FLAGS | {"--help"}, name
        positional = [it.name for it in load(name).params if it.param_type_name == "argument"]
        assert positional[1] == "text"


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["ask", "bob", "Hi"], "ask"),
        (["--debug", "dead", "list"], "dead list"),
        (["dead"], None),
        (["dead", "nonsense"], None),
        (["up"], None),
        (["migrate"], None),
        (["runs", "--help"], None),
        (["ask", "bob", "--", "--help"], "ask"),
        ([], None),
        (["--version"], None),
    ],
)
def test_a_command_is_known_by_its_first_words(arguments: list[str], command: str | None) -> None:
    assert command_of(arguments) == command


@pytest.mark.parametrize(
    ("arguments", "place", "subject"),
    [
        (["ask", "bob", "@file"], 2, "bob"),
        (["ask", "--context", "@bob", "bob", "-"], 4, "bob"),
        (["ask", "--json", "--context=a secret", "bob", "--id", "t1", "Hi"], 6, "bob"),
        (["ask", "bob", "--", "@file"], 3, "bob"),
        (["--debug", "send", "bob", "Hi"], 3, "bob"),
        (["trigger", "bob"], None, "bob"),
        (["pause", "bob"], None, "bob"),
        (["dead", "replay", "beef", "--tool-done", "a secret"], None, "beef"),
        (["dead", "replay", "--tool-done", "a secret", "beef"], None, ""),
    ],
)
def test_the_text_and_the_subject_of_a_command_are_told_apart(
    arguments: list[str], place: int | None, subject: str
) -> None:
    assert (text_place(arguments), subject_of(arguments)) == (place, subject)


def test_a_text_can_refer_to_a_file_or_to_stdin() -> None:
    assert [*map(is_reference, ["-", "@file", "@@text", "text", ""])] == [True, True, *[False] * 3]


def test_a_message_gets_an_id_unless_it_has_one() -> None:
    assert with_id(["ask", "bob", "Hi"], "x") == (["ask", "--id", "x", "bob", "Hi"], "x")
    assert with_id(["--debug", "send", "bob", "Hi", "--id", "t1"], "x")[1] == "t1"
    assert with_id(["ask", "--id=t1", "bob", "Hi"], "x")[1] == "t1"
    assert with_id(["runs"], "x") == (["runs"], "")
