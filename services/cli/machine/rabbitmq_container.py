"""RabbitMQ in a container of docker or podman."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import subprocess
from pathlib import Path

from services.cli.machine.ports import answers, free_ports
from shared.broker.connection import connect
from shared.errors import BrokerError, BrokerUnavailable

IMAGE = "rabbitmq:4.0-management"
ENGINES = ("docker", "podman")
AMQP_PORT = "5672/tcp"
DATA = "/var/lib/rabbitmq"
LABEL = "hutch.home"
"""The label of containers and volumes that names the folder that they belong to."""
ANSWER_S = 10.0
"""The time limit for an engine's first answer: one that is not running fails at once, but one that
hangs never answers."""
PULL_S = 120.0
"""The time limit to download about 100 MB; if it takes longer, another broker is quicker."""
RUN_S = 60.0
READY_S = 90.0
"""The time limit from the container's start to the broker's answer; 5 s on an idle machine."""
STOP_GRACE_S = 20


def engine() -> str | None:
    """The first container engine that answers."""
    for name in filter(shutil.which, ENGINES):
        try:
            _ask([name, "info"], ANSWER_S)
        except BrokerError:
            continue
        return name
    return None


class RabbitContainer:
    """A broker in a container. Its name is fixed, so that a later command finds it after a crash.

    With `keep`, the stopped container stays for the next start, with its queues. Otherwise each
    start begins with an empty broker.
    """

    def __init__(self, engine: str, home: Path, *, keep: bool) -> None:
        """`home` is the folder that the broker belongs to; container and volume have it as label.

        They have one name, which follows from the folder.
        """
        self._engine = engine
        self._name = container_name(home)
        self._label = f"{LABEL}={home.resolve()}"
        self._keep = keep
        self._port = 0

    @property
    def name(self) -> str:
        return f"container {self._name}"

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self._port}/"

    @property
    def ending(self) -> str:
        """The shell command that does the same as `stop`."""
        return "; ".join(" ".join([self._engine, *command]) for command in self._stopping())

    def start(self) -> None:
        """Start the container and wait until the broker answers.

        Raises `BrokerError`; then nothing is left running.
        """
        if not self._keep:
            self.stop()
        try:
            if not self._started():
                self._get_image()
                self._create(*free_ports(1))
            published = self._run("port", self._name, AMQP_PORT).split()[0]
            self._port = int(published.rpartition(":")[2])
            asyncio.run(_answer(self.url))
        except BaseException:
            self.stop()
            raise

    def stopped(self) -> bool:
        """Whether another process has stopped or removed the container."""
        if answers(self._port):
            return False
        return self._name not in self._run("ps", "--format", "{{.Names}}").split()

    def restart(self) -> None:
        """Start the stopped container again, at its port. Raises `BrokerError`."""
        if self._exists():
            self._run("start", self._name)
        else:
            self._create(self._port)
        asyncio.run(_answer(self.url))

    def _started(self) -> bool:
        """Start the container of an earlier start, if there is one and its port is still free."""
        if not self._exists():
            return False
        try:
            self._run("start", self._name)
        except BrokerError:
            self._run("rm", "--force", self._name)  # the volume keeps the queues
            return False
        return True

    def _create(self, port: int) -> None:
        """The port is fixed, since agents keep its number when the container is restarted."""
        self._run("volume", "create", "--label", self._label, self._name)
        self._run(
            *("run", "--detach", "--name", self._name, "--hostname", "hutch"),
            *("--label", self._label, "--volume", f"{self._name}:{DATA}"),
            *("--publish", f"127.0.0.1:{port}:{AMQP_PORT}", IMAGE),
        )

    def stop(self) -> None:
        """End the container, if there is one; without `keep`, also remove it and its volume."""
        if self._exists():
            self._run(*self._stopping()[0])
        if not self._keep and self._name in self._run("volume", "ls", "--quiet").split():
            self._run(*self._stopping()[1])

    def _stopping(self) -> list[list[str]]:
        if self._keep:
            return [["stop", "--time", str(STOP_GRACE_S), self._name]]
        return [
            ["rm", "--force", "--volumes", self._name],
            ["volume", "rm", "--force", self._name],
        ]

    def _exists(self) -> bool:
        return self._name in self._run("ps", "--all", "--format", "{{.Names}}").split()

    def _get_image(self) -> None:
        try:
            self._run("image", "inspect", IMAGE)
        except BrokerError:
            self._run("pull", "--quiet", IMAGE, timeout_s=PULL_S)

    def _run(self, *arguments: str, timeout_s: float = RUN_S) -> str:
        return _ask([self._engine, *arguments], timeout_s)


def remove(home: Path) -> None:
    """Remove the container and the volume of a folder's broker, if there are any."""
    if found := engine():
        RabbitContainer(found, home, keep=False).stop()


def container_name(folder: Path) -> str:
    """A name for the one broker of a folder, the same at every start."""
    return f"hutch-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]}"


async def _answer(url: str) -> None:
    async with connect(url, "hutch", wait_s=READY_S):
        return


def _ask(command: list[str], timeout_s: float) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise BrokerUnavailable(f"{command[0]} did not answer within {timeout_s:.0f} s") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise BrokerError(f"'{' '.join(command[:2])}' failed: {lines[-1]}")
    return done.stdout
