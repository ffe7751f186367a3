"""The folder that `hutch init` writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from services.cli.__main__ import app
from services.cli.commands.init import write
from shared.definitions.file_schema import file_schema
from shared.definitions.functions import load as load_tool
from shared.definitions.loader import load
from shared.errors import SettingsError
from tests.support.repository import REPOSITORY


def test_the_agents_that_are_written_are_sound(tmp_path: Path) -> None:
    write(tmp_path / "mine")
    agents = tmp_path / "mine" / "agents"
    found = load(agents)
    assert list(found) == ["alice", "bob"]
    assert load_tool(agents, found["bob"].tools[0].function).name == "weekday"


def test_an_editor_finds_the_schema_that_each_agent_names(tmp_path: Path) -> None:
    write(tmp_path)
    for folder in (tmp_path / "agents", REPOSITORY / "agents"):
        for file in folder.glob("*.yaml"):
            first = file.read_text("utf-8").partition("\n")[0]
            named = first.removeprefix("# yaml-language-server: $schema=")
            assert json.loads((folder / named).read_text("utf-8")) == file_schema()


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("mine")
    with pytest.raises(SettingsError, match="Dockerfile' is there already"):
        write(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["Dockerfile"]


def test_the_next_steps_are_printed_in_three_lines(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["init", str(tmp_path / "mine")])
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 1 + 3


def test_the_dockerfile_has_four_lines_on_our_image(tmp_path: Path) -> None:
    write(tmp_path)
    lines = (tmp_path / "Dockerfile").read_text("utf-8").splitlines()
    assert len(lines) == 4
    assert lines[0] == "FROM hutch:0.1.0"


def test_the_compose_file_is_ours_but_for_image_and_agents(tmp_path: Path) -> None:
    write(tmp_path)
    ours, written = (
        yaml.safe_load((folder / "docker-compose.yml").read_text("utf-8"))
        for folder in (REPOSITORY, tmp_path)
    )
    shared = set(written["services"])
    assert {"alice", "bob", "scheduler", "rabbitmq", "postgres", "migrate"} <= shared
    for name in shared:
        own = written["services"][name]
        if own.get("image") == "my-agents":
            own["image"] = "hutch:0.1.0"
        assert own == ours["services"][name]


def test_the_settings_are_explained_as_ours_are(tmp_path: Path) -> None:
    write(tmp_path)
    ours = (REPOSITORY / ".env.example").read_text("utf-8")
    assert (tmp_path / ".env.example").read_text("utf-8") == ours
    assert ".env" in (tmp_path / ".gitignore").read_text("utf-8").splitlines()
