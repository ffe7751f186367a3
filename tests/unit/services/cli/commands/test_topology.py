"""`hutch topology`: the printed definitions and the users' files."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.command_line import hutch


def test_the_topology_is_that_of_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tom.yaml").write_text("{name: tom, swarm: research}")
    monkeypatch.setenv("RABBITMQ_URL", "amqp://localhost/my%2Fsystem")
    printed = json.loads(hutch("topology").stdout)
    queues = {queue["name"] for queue in printed["queues"]}
    assert {"agent.alice", "agent.bob", "agent.tom", "swarm.tom", "dead", "events"} <= queues
    assert {it["vhost"] for it in printed["bindings"]} == {"my/system"}
    names = [exchange["name"] for exchange in printed["exchanges"]]
    assert len(names) == len(set(names))


def test_each_user_gets_a_file_with_an_address_and_keeps_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RABBITMQ_URL", "amqps://me:mine@rabbit:5671/system?cafile=/tls/ca.pem")
    secrets = tmp_path / "secrets" / "broker"
    first = hutch("topology", "--users", str(secrets)).stdout
    file = secrets / "agent.bob"
    address = file.read_text().strip()
    assert re.fullmatch(
        r"amqps://agent\.bob:[\w-]{43}@rabbit:5671/system\?cafile=/tls/ca\.pem", address
    )
    assert file.stat().st_mode & 0o777 == 0o600
    assert {it.name for it in secrets.iterdir()} == {
        it["name"] for it in json.loads(first)["users"]
    }
    assert hutch("topology", "--users", str(secrets)).stdout == first
    assert file.read_text().strip() == address


def test_only_the_hash_of_a_password_is_printed_as_the_broker_computes_it(
    folder: Path, tmp_path: Path
) -> None:
    said = hutch("topology", "--users", str(tmp_path / "users")).stdout
    password = urlsplit((tmp_path / "users" / "operator").read_text()).password or ""
    assert password
    assert password not in said
    [hashed] = [it["password_hash"] for it in json.loads(said)["users"] if it["name"] == "operator"]
    salt, rest = b64decode(hashed)[:4], b64decode(hashed)[4:]
    assert rest == hashlib.sha256(salt + password.encode()).digest()


def test_without_a_folder_for_them_the_users_have_no_password(folder: Path) -> None:
    printed = json.loads(hutch("topology").stdout)
    assert {it["password_hash"] for it in printed["users"]} == {""}


def test_a_users_file_that_holds_something_else_is_not_changed(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "users").mkdir()
    (tmp_path / "users" / "agent.alice").write_text("amqp://agent.bob:hush@rabbit:5672/")
    refused = hutch("topology", "--users", str(tmp_path / "users"))
    assert refused.exit_code == 2
    assert "agent.alice' holds no address with the user 'agent.alice'" in refused.stderr
    assert "hush" not in refused.output


def test_users_need_the_brokers_url(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RABBITMQ_URL")
    refused = hutch("topology", "--users", str(tmp_path / "users"))
    assert (refused.exit_code, "RABBITMQ_URL" in refused.stderr) == (2, True)
