"""The folder that `hutch init` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from services.cli.__main__ import app
from services.cli.commands.init import image_name, write
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


class Compose(yaml.SafeLoader):
    """Reads `!override` and `!reset` as what stands behind them."""


Compose.add_multi_constructor("!", lambda loader, _, node: _value(loader, node))


def _value(loader: yaml.SafeLoader, node: yaml.Node) -> object:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    assert isinstance(node, yaml.SequenceNode)
    return loader.construct_sequence(node, deep=True)


def compose(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(file.read_text("utf-8"), Compose)
    return found


@pytest.mark.parametrize("name", ["docker-compose.yml", "docker-compose.production.yml"])
def test_the_compose_files_are_ours_but_for_image_and_agents(tmp_path: Path, name: str) -> None:
    write(tmp_path / "shop")
    ours, written = (compose(folder / name) for folder in (REPOSITORY, tmp_path / "shop"))
    shared = set(written["services"])
    missing = set(ours["services"]) - shared
    assert missing == set(load(REPOSITORY / "agents")) - {"alice", "bob"}
    for service in shared:
        own = written["services"][service]
        if own.get("image") == "shop-agents":
            own["image"] = "hutch:0.1.0"
        assert own == ours["services"][service]
    kept = written.get("secrets", {})
    assert kept == {name: it for name, it in ours.get("secrets", {}).items() if name in kept}


def test_the_file_for_tls_is_ours(tmp_path: Path) -> None:
    write(tmp_path)
    name = "docker-compose.tls.yml"
    assert (tmp_path / name).read_text("utf-8") == (REPOSITORY / name).read_text("utf-8")


def test_in_production_every_agent_has_a_secret_of_its_own() -> None:
    found = compose(REPOSITORY / "docker-compose.production.yml")
    for name in load(REPOSITORY / "agents"):
        user = f"agent.{name}"
        own = found["services"][name]["secrets"]
        assert own == [{"source": user, "target": "broker"}, "store", "model"], name
        assert found["secrets"][user] == {"file": f"secrets/broker/{user}"}


@pytest.mark.parametrize(
    ("folder", "image"),
    [("My Shop", "my-shop-agents"), ("rabbitmq", "rabbitmq-agents"), ("a-agents", "a-agents")],
)
def test_the_image_is_called_after_the_folder(tmp_path: Path, folder: str, image: str) -> None:
    assert image_name(tmp_path / folder) == image


def test_the_settings_are_explained_as_ours_are(tmp_path: Path) -> None:
    write(tmp_path)
    ours = (REPOSITORY / ".env.example").read_text("utf-8")
    assert (tmp_path / ".env.example").read_text("utf-8") == ours
    ignored = (tmp_path / ".gitignore").read_text("utf-8").splitlines()
    assert {".env", "secrets/"} <= set(ignored)
