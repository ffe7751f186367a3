"""A YAML document as people read it, and the faults where YAML reads it otherwise."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from shared.definitions.documents import MOST_NODES, Document, read
from shared.errors import SettingsError


def document(folder: Path, text: str) -> Document:
    file = folder / "bob.yaml"
    file.write_text(text, "utf-8")
    return read(file)


def faults(folder: Path, text: str) -> list[str]:
    return [fault.of(Path("bob.yaml")) for fault in document(folder, text).faults]


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        document(folder, text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_texts_numbers_and_truth_are_read_as_they_stand(tmp_path: Path) -> None:
    text = "a: x\nb: 10\nc: true\nd: no\ne:\nf: \"010\"\ng: 'no'\nh: [1h30m, -3]\ni: |\n  1\n  2\n"
    read = document(tmp_path, text)
    assert not read.faults
    assert read.value == {
        "a": "x",
        "b": 10,
        "c": True,
        "d": False,
        "e": None,
        "f": "010",
        "g": "no",
        "h": ["1h30m", -3],
        "i": "1\n2\n",
    }


def test_a_byte_order_mark_and_json_are_read_too(tmp_path: Path) -> None:
    assert document(tmp_path, '\ufeff{"name": "bob", "n": [1]}').value == {"name": "bob", "n": [1]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "bob.yaml:3: a: the key occurs twice, first in line 1"),
        ("a:\n  b: 1\n  c: 2\n  'b': 3", "bob.yaml:4: a.b: the key occurs twice, first in line 2"),
        ("a: [{b: 1, b: 1}]", "bob.yaml:1: a.0.b: the key occurs twice"),
    ],
)
def test_a_repeated_key_is_a_fault(tmp_path: Path, text: str, said: str) -> None:
    [fault] = faults(tmp_path, text)
    assert said in fault


def test_the_first_of_two_keys_is_read(tmp_path: Path) -> None:
    assert document(tmp_path, "a: 1\na: 2").value == {"a": 1}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("010", "a number in another notation"),
        ("0x1F", "a number in another notation"),
        ("0b11", "a number in another notation"),
        ("1_000", "a number in another notation"),
        ("1:30", "a number in another notation"),
        ("9" * 19, "a number in another notation"),
        ("9" * 5000, "a number in another notation"),
        ("1.5e+3", "a number"),
        (".inf", "a number"),
        ("190:20:30.15", "a number"),
        ("2026-01-01", "a date"),
        ("2026-01-01 10:00:00", "a date"),
        ("=", "an instruction"),
    ],
)
def test_a_value_that_yaml_and_people_read_differently_is_a_fault(
    tmp_path: Path, text: str, kind: str
) -> None:
    [fault] = faults(tmp_path, f"x: y\na: [{text}]")
    brief = text[:40]
    assert fault.startswith(f'bob.yaml:2: a.0: YAML reads {brief} as {kind}: quote it: "{brief}"')
    assert not faults(tmp_path, f"a: ['{text}']")


@pytest.mark.parametrize("text", ["yes", "on", "No", "true", "~", "null", "5"])
def test_unquoted_scalars_that_are_no_text_are_recorded(tmp_path: Path, text: str) -> None:
    assert document(tmp_path, f"a: {text}").unquoted["a",].startswith(f"YAML reads {text} as ")
    assert not document(tmp_path, f"a: '{text}'").unquoted


@pytest.mark.parametrize("key", ["yes", "5", "~", "2026-01-01", "<<"])
def test_a_key_that_yaml_does_not_read_as_text_is_to_be_quoted(tmp_path: Path, key: str) -> None:
    [fault] = faults(tmp_path, f"a:\n  ? {key}\n  : x")
    assert fault == f'bob.yaml:2: a: YAML does not read this key as text: quote it: "{key}"'


@pytest.mark.parametrize("key", ["[a]", "{a: b}", "? a"])
def test_a_key_is_text(tmp_path: Path, key: str) -> None:
    [fault] = faults(tmp_path, f"a:\n  ? {key}\n  : x")
    assert fault == "bob.yaml:2: a: a key is text"


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system [ls]",
        "!mine x",
        "!!binary aGk=",
        "!!set {a: }",
        "!!omap []",
    ],
)
def test_tags_are_not_read(tmp_path: Path, text: str) -> None:
    [fault] = faults(tmp_path, f"a: {text}")
    assert (
        fault == f"bob.yaml:1: a: the tag {text.split()[0]} is not read here: write the value alone"
    )


def test_a_text_may_be_tagged_as_one(tmp_path: Path) -> None:
    assert document(tmp_path, "a: !!str 010").value == {"a": "010"}


def test_a_character_in_two_escapes_as_json_has_it_is_one(tmp_path: Path) -> None:
    assert document(tmp_path, r'{"a": "\ud83d\ude00"}').value == {"a": "\U0001f600"}


@pytest.mark.parametrize("escapes", [r"\ud800", r"\ude00\ud83d", r"x\udfff"])
def test_half_a_character_is_a_fault(tmp_path: Path, escapes: str) -> None:
    [fault] = faults(tmp_path, f'{{"a": "{escapes}"}}')
    assert fault.startswith("bob.yaml:1: a: half a character")
    [fault] = faults(tmp_path, f'{{"a": {{"{escapes}": 1}}}}')
    assert "half a character" in fault


def test_a_nul_is_a_fault(tmp_path: Path) -> None:
    [fault] = faults(tmp_path, r'a: "x\0y"')
    assert fault.startswith("bob.yaml:1: a: the character NUL")


def test_an_alias_repeats_what_it_names(tmp_path: Path) -> None:
    assert document(tmp_path, "a: &x {b: 1}\nc: *x").value == {"a": {"b": 1}, "c": {"b": 1}}


def test_aliases_of_aliases_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 15)]
    began = time.monotonic()
    assert "too many values" in refusal(tmp_path, "\n".join(lines))
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("text", ["a: &a [*a]", "&a {b: *a}"])
def test_an_alias_of_itself_is_refused(tmp_path: Path, text: str) -> None:
    assert "too deeply nested" in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "bob.yaml:1: not YAML"),
        (
            "a: b\n  c: d",
            "bob.yaml:2: not YAML: a ': ' too many: quote the text, or correct the inde",
        ),
        ("a: b: c", "bob.yaml:1: not YAML: a ': ' too many: quote the text"),
        ("a:\n\tb: c", "bob.yaml:2: not YAML: a tab: indent with spaces"),
        ("a: @b", "bob.yaml:1: not YAML: a text that begins with a special character: quote it"),
        ("a: 'b' c", "bob.yaml:1: not YAML: the line does not fit those above"),
        ("a: b\nc", "bob.yaml:2: not YAML: a line without a key and ': '"),
        ('a: "b', "bob.yaml:1: not YAML: a quote that is not closed"),
        ("a: *b", "bob.yaml:1: not YAML: found undefined alias"),
        ("a: b\n---\na: c", "bob.yaml:2: not YAML"),
        ("a: \x07", "bob.yaml:1: not YAML: unacceptable character"),
        (r'a: "\U00110000"', "bob.yaml: not YAML: an escape that is no character"),
        (r'a: "\UFFFFFFFF"', "bob.yaml: not YAML: an escape that is no character"),
        ("[" * 30 + "]" * 30, "too deeply nested"),
        ("[" * 100_000, "bob.yaml: nested too deeply"),
        ("- a\n" * (MOST_NODES + 1), "too many values"),
    ],
)
def test_text_that_is_no_document_is_refused_with_its_line(
    tmp_path: Path, text: str, said: str
) -> None:
    assert said in refusal(tmp_path, text)
