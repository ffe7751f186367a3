"""The JSON schema of an agent's file accepts what the loader accepts, and names what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from shared.definitions.documents import read
from shared.definitions.file_schema import FileSchema, file_schema
from shared.definitions.loader import load
from shared.definitions.model import Definition, Limits
from shared.errors import SettingsError
from tests.support.repository import REPOSITORY

SHIPPED = [
    *sorted((REPOSITORY / "agents").glob("*.yaml")),
    *sorted((REPOSITORY / "services" / "cli" / "templates" / "agents").glob("*.yaml")),
]
EDITOR = Draft7Validator(file_schema())

SOUND = """\
name: bob
description: Writes.
preamble: Write.
model: {name: x, base_url: 'http://h/v1', temperature: 0.5, profile: vllm, extra: {a: [1]}}
tool_protocol: schema
tools: [o.py:pay, {function: 'o.py:lookup', repeatable: true}]
output: {type: object}
swarm: office
on_peer: react
tick: 1h30m
schedule: [{name: a, every: 1m, prompt: x}, {name: b, cron: '0 9 * * *', prompt: x, missed: all}]
limits: {turns: 1, depth: 32, timeout: 90s, concurrency: 8, caused_per_minute: 1}
foreign_clients: true
"""


def test_the_schema_is_a_schema() -> None:
    Draft7Validator.check_schema(file_schema())


@pytest.mark.parametrize(
    "file", SHIPPED, ids=[f"{it.parent.parent.name}/{it.stem}" for it in SHIPPED]
)
def test_every_shipped_agent_fits(file: Path) -> None:
    EDITOR.validate(read(file).value)


@pytest.mark.parametrize("text", [SOUND, "name: bob", "name: bob\nmodel: gpt-5\noutput: o.py:A"])
def test_the_loader_and_an_editor_accept_the_same(tmp_path: Path, text: str) -> None:
    assert accepted(tmp_path, text) == (True, True)


@pytest.mark.parametrize(
    "text",
    [
        "description: Writes.",
        "name: Bob",
        "name: all",
        "name: bob\nworker: [a]",
        "name: bob\nworkers: a",
        "name: bob\nmodel: {base: x}",
        "name: bob\nmodel: {profile: opneai}",
        "name: bob\nmodel: {temperature: 3}",
        "name: bob\ntools: [orders]",
        "name: bob\ntools: [{function: 'o.py:f', repeatble: true}]",
        "name: bob\noutput: report.txt",
        "name: bob\non_peer: reply",
        "name: bob\ntick: 10",
        "name: bob\ntick: 0s",
        "name: bob\ntick: soon",
        "name: bob\nlimits: {turn: 1}",
        "name: bob\nlimits: {turns: true}",
        "name: bob\nlimits: {depth: 33}",
        "name: bob\nschedule: [{name: a, prompt: x}]",
        "name: bob\nschedule: [{name: a, prompt: x, every: 1m, cron: '* * * * *'}]",
        "name: bob\nschedule: [{name: a, prompt: x, every: 1m, overlap: wait}]",
    ],
)
def test_the_loader_and_an_editor_refuse_the_same(tmp_path: Path, text: str) -> None:
    assert accepted(tmp_path, text) == (False, False)


def accepted(folder: Path, text: str) -> tuple[bool, bool]:
    """Whether the loader and whether an editor accepts a file."""
    file = folder / "bob.yaml"
    file.write_text(text, "utf-8")
    try:
        load(folder)
    except SettingsError:
        loads = False
    else:
        loads = True
    return loads, EDITOR.is_valid(read(file).value)


def test_defaults_are_those_that_a_person_would_write() -> None:
    """Editors insert them."""
    limits, agent = (
        it.model_json_schema(schema_generator=FileSchema) for it in (Limits, Definition)
    )
    assert limits["properties"]["timeout"]["default"] == "10m"
    assert "default" not in agent["properties"]["swarm"]
