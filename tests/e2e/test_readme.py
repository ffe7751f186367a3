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
from services.cli.machine import rabbitmq_container
from services.cli.machine.home import HOME
from services.cli.machine.rabbitmq_container import RabbitContainer
from tests.e2e import readme
from tests.support.machine import need
from tests.support.processes.running import Child
from tests.support.repository import REPOSITORY
from tests.support.stack import REPLY_S, Stack

pytestmark = pytest.mark.essential

BIN = Path(sys.executable).parent
ENVIRONMENT = {
    **{
        name: text for name, text in os.environ.items() if not name.startswith(("OPENAI", "RABBIT"))
    },
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    "PYTHONPATH": str(REPOSITORY),
}
STARTING = readme.block("sh", "hutch init").splitlines()
"""Its lines: the environment, the folder, and what stays in the foreground."""
EMAIL = "Subject: News about the summer party"
STARTED_S = 120
"""A broker's start included."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that `hutch init` has made. A broker that `up` started in it is removed."""
    if rabbitmq_container.engine() is None:
        need("rabbitmq-server")
    hutch = tmp_path / "hutch"
    hutch.mkdir()
    _, creating, _ = STARTING
    subprocess.run(["sh", "-euc", creating], cwd=hutch, env=ENVIRONMENT, check=True)
    folder = tmp_path / "my-agents"
    yield folder
    if engine := rabbitmq_container.engine():
        RabbitContainer(engine, folder / HOME, keep=False).stop()


def run(command: list[str], folder: Path) -> str:
    return subprocess.run(
        command,
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=REPLY_S,
        check=True,
    ).stdout


@contextmanager
def up(command: str, folder: Path) -> Iterator[Child]:
    script = f"cd '{folder}' && exec {command}"
    child = Child(["sh", "-euc", script], ENVIRONMENT, folder.parent / "up.log")
    try:
        for name in ("alice", "bob"):
            child.wait_for(rf'{name} +\| .*"consuming"', STARTED_S)
        yield child
    finally:
        assert child.end() == 0


def test_the_first_steps_and_an_agent_of_ones_own_and_a_program(folder: Path) -> None:
    [ask_alice] = readme.commands("hutch ask alice")
    check, ask_carol = readme.commands("hutch check")
    by_amqp, by_http = (
        [sys.executable, "-W", "ignore", "-c", readme.block("python", it)]
        for it in ("pika", "openai")
    )
    with up(STARTING[-1], folder) as child:
        assert EMAIL in run(ask_alice, folder)
        for language, path in (("python", "agents/tools/orders.py"), ("yaml", "agents/carol.yaml")):
            (folder / path).write_text(readme.block(language, f"# {path}"), "utf-8")
        assert "no fault" in run(check, folder)
        child.wait_for(r'carol +\| .*"consuming"', STARTED_S)
        assert "Order 17 left the warehouse on Monday." in run(ask_carol, folder)
        assert EMAIL in run(by_amqp, folder)
        assert EMAIL in run(by_http, folder)


def test_a_program_publishes_to_the_compose_file_and_reads_the_answer(stack: Stack) -> None:
    [url] = re.findall("export RABBITMQ_URL=(\\S+?)`", readme.TEXT)
    assert url == "amqp://hutch:local-only@127.0.0.1:5672/"
    answered = subprocess.run(
        [sys.executable, "-c", readme.block("python", "pika")],
        env=os.environ | {"RABBITMQ_URL": stack.url()},
        capture_output=True,
        text=True,
        timeout=REPLY_S,
        check=True,
    )
    assert EMAIL in answered.stdout


def test_the_command_line_is_there_in_a_container_too(stack: Stack) -> None:
    [shown] = re.findall(r"`docker compose run (--rm operator hutch status)`", readme.TEXT)
    assert re.search(r"(?m)^bob +3 ", stack.compose("run", "-T", *shown.split()))


def test_every_command_is_named() -> None:
    said = readme.TEXT
    commands = typer.main.get_command(app)
    for name in getattr(commands, "commands", {}):
        assert re.search(rf"`(?:hutch |make )?{name}\b|make {name}\b", said), f"{name} is not named"
    [steer] = re.findall(r"(?s)## Commands\n\n(.*?)\.\nEach has", said)
    for name in re.findall(r"`(?:hutch )?(\w+)", steer):
        assert name in getattr(commands, "commands", {}), f"there is no '{name}'"


def test_the_readme_is_short() -> None:
    assert len(readme.TEXT.splitlines()) < 150


@pytest.mark.needs("make")
def test_make_knows_the_commands() -> None:
    targets = set(re.findall(r"make ([a-z-]+)", readme.TEXT)) - {"python"}
    assert targets >= {"venv", "demo", "test", "test-all"}
    for target in targets:
        subprocess.run(
            ["make", "--dry-run", target], cwd=REPOSITORY, capture_output=True, check=True
        )
