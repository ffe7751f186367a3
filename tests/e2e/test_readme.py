"""README.md is run as it stands: a line that stops working fails here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer

from services.cli.__main__ import app
from shared.definitions.loader import load
from shared.definitions.model import Definition
from tests.e2e import readme
from tests.support.processes.running import Child
from tests.support.repository import REPOSITORY
from tests.support.stack import REPLY_S, Stack

pytestmark = pytest.mark.essential

BIN = Path(sys.executable).parent
PUBLISHED = "hutch:local-only@127.0.0.1:5672"
"""The port in README.md; the stack under test has another one."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of a reader who has followed 'Your own agents'."""
    for language, path in (("yaml", "agents/carol.yaml"), ("python", "agents/tools/orders.py")):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(readme.block(language, f"# {path}"), "utf-8")
    return tmp_path


@contextmanager
def up(command: list[str], environment: dict[str, str], said: Path) -> Iterator[Child]:
    child = Child([*command, "--provider", "scripted"], environment, said)
    try:
        child.wait_for(r'carol +\| .*"consuming"')
        yield child
    finally:
        assert child.end() == 0


def test_a_users_own_agent_is_checked_started_and_asked(stack: Stack, folder: Path) -> None:
    check, start, ask = readme.commands("hutch check")
    environment = {
        **{name: text for name, text in os.environ.items() if "OPENAI" not in name},
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "RABBITMQ_URL": stack.url(),
        "HUTCH_AGENTS": str(folder / "agents"),
        "HUTCH_STORE": f"sqlite:///{folder / 'hutch.db'}",
    }

    def run(command: list[str]) -> str:
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=REPLY_S, check=True
        ).stdout

    assert "no fault" in run(check)
    with up(start, environment, folder / "said"):
        assert "Order 17 left the warehouse on Monday." in run(ask)


def test_the_keys_of_an_agents_file_are_all_explained(folder: Path) -> None:
    [tool] = load(folder / "agents")["carol"].tools
    assert tool.function == "orders.py:lookup"
    explained = [row.split("|")[1] for row in readme.TEXT.splitlines() if row.startswith("| `")]
    named = {key for cell in explained for key in re.findall(r"`(\w+)`", cell)}
    assert named == set(Definition.model_fields)


def test_a_foreign_client_publishes_and_reads_the_answer(stack: Stack) -> None:
    snippet = readme.block("python", "pika")
    address = stack.url().removeprefix("amqp://").rstrip("/")
    assert PUBLISHED in snippet
    answered = subprocess.run(
        [sys.executable, "-c", snippet.replace(PUBLISHED, address)],
        capture_output=True,
        text=True,
        timeout=REPLY_S,
        check=True,
    )
    assert "Summarise today's tickets." in answered.stdout


def test_the_command_line_is_there_in_a_container_too(stack: Stack) -> None:
    [shown] = re.findall(r"`docker compose (exec alice hutch status)`", readme.TEXT)
    command, *arguments = shown.split()
    assert re.search(r"(?m)^bob +3 ", stack.compose(command, "-T", *arguments))


def test_every_command_is_named() -> None:
    said = readme.TEXT
    commands = typer.main.get_command(app)
    for name in getattr(commands, "commands", {}):
        assert re.search(rf"`(?:hutch |make )?{name}\b|make {name}\b", said), f"{name} is not named"
    [steer] = re.findall(r"(?s)## Commands\n\n(.*?)\. Each has", said)
    for name in re.findall(r"`(?:hutch )?(\w+)", steer):
        assert name in getattr(commands, "commands", {}), f"there is no '{name}'"


@pytest.mark.needs("make")
def test_make_knows_the_two_commands() -> None:
    lines = readme.block("console", "make demo").splitlines()
    targets = [line.split()[2] for line in lines]
    assert targets == ["demo", "test"]
    for target in targets:
        subprocess.run(
            ["make", "--dry-run", target], cwd=REPOSITORY, capture_output=True, check=True
        )
