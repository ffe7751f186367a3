"""The schema of an agent's answers: inline, in a file, or a pydantic model beside the tools."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.definitions.loader import described, equipped, load, read_folder
from shared.errors import SettingsError
from tests.support.agents_folder import write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


SCHEMA = {"type": "object", "properties": {"total": {"type": "number", "minimum": 0.5}}}
REPORTS = """
from pydantic import BaseModel

class Report(BaseModel):
    total: float

class Opaque(BaseModel):
    total: type

def Function(): ...
"""


def test_an_output_is_a_schema_in_the_agents_file(folder: Path) -> None:
    inner = "{type: object, properties: {total: {type: number, minimum: 0.5}}}"
    write(folder, "alice", f"name: alice\noutput: {inner}")
    assert load(folder)["alice"].output == SCHEMA


def test_an_output_is_a_json_file_beside_the_agents_file(folder: Path) -> None:
    (folder / "report.json").write_text(json.dumps(SCHEMA))
    write(folder, "alice", "name: alice\noutput: report.json")
    assert load(folder)["alice"].output == SCHEMA


async def test_an_output_is_a_pydantic_model_of_the_tools(folder: Path) -> None:
    (folder / "tools").mkdir()
    (folder / "tools" / "reports.py").write_text(REPORTS)
    write(folder, "bob", "name: bob\noutput: reports.py:Report")
    write(folder, "alice", "name: alice\nworkers: [bob]")
    bob = (await equipped(read_folder(folder), "bob")).definition
    assert isinstance(bob.output, dict)
    assert bob.output["required"] == ["total"]
    workers, faults = await described(
        read_folder(folder), [it.name for it in load(folder)["alice"].workers]
    )
    assert (workers["bob"].output, faults) == (bob.output, [])


async def test_a_worker_whose_output_cannot_be_loaded_is_described_without_it(folder: Path) -> None:
    write(folder, "bob", "name: bob\noutput: reports.py:Report")
    write(folder, "alice", "name: alice\nworkers: [bob]")
    workers, [fault] = await described(
        read_folder(folder), [it.name for it in load(folder)["alice"].workers]
    )
    assert workers["bob"].output is None
    assert fault.startswith(f"{folder}/bob.yaml:2: output: {folder}/tools/reports.py: ")


@pytest.mark.parametrize(
    ("output", "fault"),
    [
        ("3", "write a JSON schema, a file"),
        ("[a]", "write a JSON schema, a file"),
        ("report.yaml", "'report.yaml' is neither a file"),
        ("{type: objekt}", "no JSON schema: type: 'objekt' is not valid"),
        ("{$ref: '#/$defs/Report'}", "the schema refers to '#/$defs/Report'"),
        ("{$ref: 'https://example.org/report.json'}", "the schema refers to 'https:"),
        ("missing.json", "missing.json: it can't be read: No such file"),
        ("broken.json", "broken.json: "),
        ("list.json", "list.json: a JSON schema is an object"),
        ("wrong.json", "wrong.json: no JSON schema: minimum: 'x' is not of type"),
    ],
)
def test_an_output_that_is_no_schema_is_named_with_file_and_field(
    folder: Path, output: str, fault: str
) -> None:
    files = {"broken": "{", "list": "[]", "wrong": '{"minimum": "x"}'}
    for name, text in files.items():
        (folder / f"{name}.json").write_text(text)
    write(folder, "alice", f"name: alice\noutput: {output}")
    line = read_folder(folder).faults["alice"]
    assert line.startswith(f"{folder}/alice.yaml:2: output")
    assert fault in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("reference", "fault"),
    [
        ("missing.py:Report", "there is no such file"),
        ("reports.py:Missing", "'Missing' is no pydantic model"),
        ("reports.py:Function", "'Function' is no pydantic model"),
        ("reports.py:Opaque", "'Opaque' has no JSON schema"),
    ],
)
async def test_a_model_that_cannot_be_an_output_is_named(
    folder: Path, reference: str, fault: str
) -> None:
    (folder / "tools").mkdir()
    (folder / "tools" / "reports.py").write_text(REPORTS)
    write(folder, "alice", f"name: alice\noutput: {reference}")
    with pytest.raises(SettingsError, match=fault) as caught:
        await equipped(read_folder(folder), "alice")
    assert str(caught.value).startswith(f"{folder}/alice.yaml:2: output: {folder}/tools/")
    assert "\n" not in str(caught.value)
