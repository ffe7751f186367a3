"""The ways to a broker, on machines where some of them are missing."""

from __future__ import annotations

import fcntl
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from services.cli.machine.broker import local_broker
from services.cli.machine.home import broker_url, locked, running_broker
from services.cli.machine.rabbitmq_package import RabbitPackage
from shared.errors import BrokerError


@dataclass
class Machine:
    """Has only the commands that a test puts on its PATH; `said` is the output."""

    path: Path
    home: Path
    package: RabbitPackage
    agrees: bool = False
    output: list[str] = field(default_factory=list)

    def has(self, command: str, script: str) -> None:
        file = self.path / command
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def asked(self, question: str) -> bool:
        self.output.append(question)
        return self.agrees

    def broker(self, given: str | None = None) -> str:
        ways = local_broker(given, self.home, self.output.append, self.asked, package=self.package)
        with ways as url:
            return url


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    package = RabbitPackage(scripts=path, policy=tmp_path / "policy-rc.d")
    return Machine(path, tmp_path / "home", package)


def test_a_given_broker_is_used_and_its_password_not_shown(machine: Machine) -> None:
    assert machine.broker("amqp://me:secret@host/") == "amqp://me:secret@host/"
    assert machine.output == ["broker: amqp://me:***@host/, from RABBITMQ_URL"]


def test_without_a_way_to_a_broker_the_error_says_what_to_do(machine: Machine) -> None:
    with pytest.raises(BrokerError, match=r"set RABBITMQ_URL .* or install rabbitmq-server"):
        machine.broker()
    assert machine.output == ["broker: RABBITMQ_URL is not set, and no container engine answers"]


def test_an_engine_without_the_image_is_reported_and_skipped(machine: Machine) -> None:
    machine.has(
        "docker", 'case $1 in info|ps) ;; *) echo "no route to registry" >&2; exit 1;; esac'
    )
    with pytest.raises(BrokerError, match="no broker can be started here"):
        machine.broker()
    assert machine.output[-1] == (
        "broker: 'docker pull' failed: no route to registry; going on without docker"
    )


def test_an_engine_that_is_off_is_skipped(machine: Machine) -> None:
    machine.has("docker", "exit 1")
    machine.has("podman", "exit 1")
    with pytest.raises(BrokerError):
        machine.broker()
    assert machine.output == ["broker: RABBITMQ_URL is not set, and no container engine answers"]


def test_nothing_is_installed_without_consent(machine: Machine, tmp_path: Path) -> None:
    machine.has("apt-get", f"echo $* >> {tmp_path}/installed")
    with pytest.raises(BrokerError, match="no broker can be started here"):
        machine.broker()
    assert machine.output[-1].endswith("rabbitmq-server with apt-get, without its service?")
    assert not (tmp_path / "installed").exists()


def test_the_package_is_installed_with_its_service_kept_off(
    machine: Machine, tmp_path: Path
) -> None:
    machine.agrees = True
    policy = tmp_path / "policy-rc.d"
    machine.has("apt-get", f"test -x {policy} && echo $* >> {tmp_path}/installed")
    with pytest.raises(BrokerError, match="rabbitmq-server is not installed"):
        machine.broker()  # this apt-get puts nothing there
    assert "rabbitmq-server" in (tmp_path / "installed").read_text()
    assert not policy.exists()


def test_two_processes_cannot_run_a_broker_in_one_folder(machine: Machine) -> None:
    machine.home.mkdir()
    with (machine.home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BrokerError, match="another 'hutch' runs a broker in"):
            machine.broker()


def test_a_second_process_waits_for_the_broker_and_uses_it(tmp_path: Path) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        (tmp_path / "broker").write_text("amqp://here")

    with locked(tmp_path):
        assert running_broker(tmp_path, say) == "amqp://here"
    assert said == [
        "broker: waiting for the 'hutch up' that starts one in this folder",
        "broker: that of the 'hutch up' that runs in this folder",
    ]
    assert running_broker(tmp_path, say) is None


def test_without_a_broker_the_folder_has_no_url(tmp_path: Path) -> None:
    assert broker_url(tmp_path) is None
