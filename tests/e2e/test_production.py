"""The compose files for production, made ready by the commands of docs/security.md."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e import readme
from tests.support.machine import need
from tests.support.repository import REPOSITORY
from tests.support.stack import UP_S, Stack

PAGE = (REPOSITORY / "docs" / "security.md").read_text("utf-8")
SHIPPED = (
    "docker-compose.yml",
    "docker-compose.production.yml",
    "Dockerfile",
    ".dockerignore",
    "requirements.lock",
    "agents",
    "services",
    "shared",
)
STARTED = ("alice", "bob", "scheduler")
"""And what they need; the other agents differ from Bob by name alone."""

SCRIPTED = {
    "OPENAI_API_KEY": "any-word",
    "OPENAI_BASE_URL": "http://scripted:8080/v1",
    "OPENAI_MODEL": "scripted",
}


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    need("docker")
    folder = tmp_path_factory.mktemp("production")
    for name in SHIPPED:
        source, target = REPOSITORY / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    stack = Stack(folder, **SCRIPTED)
    try:
        subprocess.run(
            ["sh", "-eu", "-c", readme.block("sh", "mkdir -m 700 secrets", PAGE)],
            cwd=folder,
            env=stack.environment,
            check=True,
            timeout=UP_S,
        )
        [files] = re.findall(r"COMPOSE_FILE=(\S+)", PAGE)
        stack.environment["COMPOSE_FILE"] = files
        stack.compose("up", "--detach", "--wait", *STARTED)
        yield stack
    finally:
        stack.compose("down", "--volumes", "--remove-orphans")


def test_alice_answers_the_operator(production: Stack) -> None:
    [asking] = [line for line in readme.commands("run --rm operator", PAGE) if "run" in line]
    command, *arguments = asking[2:]
    assert "Subject:" in production.compose(command, "-T", *arguments)


def test_the_broker_has_no_user_but_those_of_the_page(production: Stack) -> None:
    listed = production.compose(
        "exec", "-T", "rabbitmq", "rabbitmqctl", "--quiet", "list_users", "--formatter=json"
    )
    users = {it["user"] for it in json.loads(listed)}
    assert {"agent.alice", "scheduler", "operator", "client", "scaler", "admin"} <= users
    assert not users & {"guest", "hutch"}


def test_a_container_sees_its_own_secrets_alone(production: Stack) -> None:
    seen = production.compose("exec", "-T", "bob", "ls", "/run/secrets").split()
    assert sorted(seen) == ["broker", "model", "store"]
    address = production.compose("exec", "-T", "bob", "cat", "/run/secrets/broker")
    assert address.startswith("amqp://agent.bob:")
    assert "postgresql://" not in production.compose("exec", "-T", "bob", "env")


def test_every_agent_of_the_compose_file_has_its_own_secret(production: Stack) -> None:
    services = json.loads(production.compose("config", "--format", "json"))["services"]
    agents = {name for name, it in services.items() if "services.agent" in (it["command"] or ())}
    assert agents == {file.stem for file in (REPOSITORY / "agents").glob("*.yaml")}
    for name in agents:
        sources = [secret["source"] for secret in services[name]["secrets"]]
        assert sources == [f"agent.{name}", "store", "model"], name
