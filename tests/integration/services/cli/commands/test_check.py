"""`hutch check` reports what a start refuses, in the same words, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.__main__ import app
from tests.support.repository import REPOSITORY

START_S = 60.0
LOOP = "import asyncio\nasyncio.run(asyncio.sleep(0))\ndef f() -> None: ..."


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an agent without faults, which does not use Bob."""
    folder = tmp_path / "agents"
    (folder / "tools").mkdir(parents=True)
    (folder / "alice.yaml").write_text("name: alice")
    for name, value in {
        "HUTCH_AGENTS": str(folder),
        "HUTCH_STORE": f"sqlite:///{tmp_path / 'hutch.db'}",
        "RABBITMQ_URL": "amqp://guest:guest@127.0.0.1:1/",
        "OPENAI_MODEL": "tiny",
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
    }.items():
        monkeypatch.setenv(name, value)
    return folder


def checked() -> tuple[int, str]:
    """The exit code and the error of `hutch check`."""
    done = CliRunner().invoke(app, ["check"], prog_name="hutch")
    return done.exit_code, done.stderr.removeprefix("hutch: ")


def started() -> tuple[int, str]:
    """The exit code and the error of Bob's process, without a broker or a migrated store."""
    done = subprocess.run(
        [sys.executable, "-m", "services.agent", "bob"],
        cwd=REPOSITORY,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=START_S,
    )
    return done.returncode, done.stderr.removeprefix("hutch agent bob: ")


@pytest.mark.parametrize(
    ("bob", "tool"),
    [
        pytest.param("name: [", "", id="no YAML"),
        pytest.param("name: bob\ntols: []", "", id="an unknown key"),
        pytest.param("name: bob\nlimits: {}\nlimits: {}", "", id="a key twice"),
        pytest.param("name: bob\nlimits: {turns: 010}", "", id="an octal number"),
        pytest.param(r'{"name": "bob", "preamble": "\ud800"}', "", id="half a character"),
        pytest.param(r'{"name": "bob", "description": "\u0000"}', "", id="a NUL"),
        pytest.param("name: bob\nlimits: {timeout: 87600000h}", "", id="an absurd duration"),
        pytest.param("name: bob\ntick: 99999999999999h", "", id="a duration without a date"),
        pytest.param("name: bob\nworkers: [carl]", "", id="an unknown worker"),
        pytest.param("name: bob\nworkers: [bob]", "", id="a cycle"),
        pytest.param("name: bob\ntools: ['a.py:alice']\nworkers: [alice]", "", id="one name"),
        pytest.param("name: bob\nmodel: {base_url: 'h:1'}", "", id="a wrong URL"),
        pytest.param("name: bob\ntools: ['b.py:f']", "", id="no tool"),
        pytest.param(
            "name: bob\ntools: ['a.py:f']", "async def f(): ...\nawait f()", id="a syntax error"
        ),
        pytest.param(
            "name: bob\ntools: ['a.py:f']",
            "import asyncio\nasyncio.get_running_loop()\ndef f() -> None: ...",
            id="a loop wanted",
        ),
        pytest.param(
            "name: bob\ntools: ['a.py:f']", "raise KeyboardInterrupt", id="no mere exception"
        ),
        pytest.param(
            "name: bob\ntools: ['a.py:f']",
            "def f() -> None:\n    '\\ud800'",
            id="half a character in a tool",
        ),
    ],
)
def test_check_reports_what_a_start_refuses_in_the_same_words(
    folder: Path, bob: str, tool: str
) -> None:
    (folder / "bob.yaml").write_text(bob)
    (folder / "tools" / "a.py").write_text(tool)
    found = checked()
    assert found == started()
    assert found[0] == 2
    assert "bob.yaml" in found[1]
    assert found[1].count("\n") == 1


@pytest.mark.parametrize(
    ("bob", "tool"),
    [
        pytest.param("name: bob\ntools: ['a.py:f']", LOOP, id="a loop at the import"),
        pytest.param(r'{"name": "bob", "preamble": "\ud83d\ude00"}', "", id="an emoji as in JSON"),
        pytest.param("name: bob\nlimits: {timeout: 8760h}\ntick: 8760h", "", id="a year"),
    ],
)
def test_where_nothing_is_found_a_start_gets_as_far_as_the_store(
    folder: Path, bob: str, tool: str
) -> None:
    (folder / "bob.yaml").write_text(bob)
    (folder / "tools" / "a.py").write_text(tool)
    assert checked() == (0, "")
    assert started() == (1, "the store is empty; run 'hutch migrate' first\n")


@pytest.mark.essential
def test_a_fault_of_another_file_is_found_and_stops_no_start(folder: Path) -> None:
    (folder / "bob.yaml").write_text("name: bob")
    (folder / "alice.yaml").write_text("name: alice\ntols: []")
    code, said = checked()
    assert (code, f"{folder}/alice.yaml:2: tols: unknown key" in said) == (2, True)
    assert started() == (1, "the store is empty; run 'hutch migrate' first\n")


def test_a_limit_of_an_outputs_model_that_the_endpoint_does_not_take_is_advice(
    folder: Path,
) -> None:
    (folder / "tools" / "a.py").write_text(
        "from pydantic import BaseModel, Field\n\nclass Sum(BaseModel):\n    n: int = Field(gt=0)\n"
    )
    (folder / "bob.yaml").write_text(
        "{name: bob, output: 'a.py:Sum', model: {base_url: 'https://api.groq.com/openai/v1'}}"
    )
    result = CliRunner().invoke(app, ["check"])
    assert result.exit_code == 0
    assert "only checked (n: exclusiveMinimum)" in " ".join(result.stdout.split())


def test_every_agents_faults_are_found_at_once(folder: Path) -> None:
    (folder / "bob.yaml").write_text("name: bob\nworkers: [carol]")
    (folder / "carol.yaml").write_text("name: carol\nworkers: [bob]\ntools: ['a.py:f']")
    (folder / "dora.yaml").write_text("name: dora\ntools: ['a.py:f']")
    code, said = checked()
    assert code == 2
    assert [line.partition(": ")[0] for line in said.splitlines()] == [
        f"{folder}/{name}.yaml:2" for name in ("bob", "carol", "dora")
    ]


def test_a_tool_cannot_import_through_another_agents_path(folder: Path) -> None:
    tools, elsewhere = folder / "tools", folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "names.py").write_text("")
    (tools / "a.py").write_text(
        f"import sys\nsys.path.insert(0, {str(elsewhere)!r})\nimport names\ndef f() -> None: ...\n"
    )
    (tools / "b.py").write_text("import names\ndef f() -> None: ...\n")
    (folder / "alice.yaml").write_text("name: alice\ntools: ['a.py:f']")
    (folder / "bob.yaml").write_text("name: bob\ntools: ['b.py:f']")
    found = checked()
    assert found == started()
    assert "No module named 'names'" in found[1]


def test_a_tool_that_ends_the_process_is_found(folder: Path) -> None:
    (folder / "tools" / "a.py").write_text("import os\nos._exit(0)\n")
    (folder / "bob.yaml").write_text("name: bob\ntools: ['a.py:f']")
    assert checked() == (
        2,
        f"{folder}/bob.yaml:2: tools: the process ends while they are imported\n",
    )
