"""The versions of the libraries and of the broker, compared with those that are needed."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from services.cli.doctor.finding import Area, Finding, fault
from shared import VERSION

OLDEST_BROKER = "3.10"
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[.*?\])?>=([\d.]+)$")


def own_version() -> str:
    """Hutch's version and Python's."""
    return f"hutch {VERSION}, Python {platform.python_version()}"


def own_requirements() -> list[str]:
    """The libraries that this installation of Hutch needs, with their oldest versions."""
    try:
        return requires("hutch") or []
    except PackageNotFoundError:
        return []


def library_findings(requirements: Iterable[str]) -> Iterator[Finding]:
    """Libraries that are missing or too old. Requirements of an extra are ignored."""
    for requirement in requirements:
        if not (parts := _REQUIREMENT.match(requirement)):
            continue
        name, oldest = parts.groups()
        try:
            found = version(name)
        except PackageNotFoundError:
            found = ""
        if _numbers(found) < _numbers(oldest):
            yield fault(
                Area.VERSIONS,
                f"the library {name} is {found or 'missing'}, and {oldest} is needed",
                "install hutch again in an environment of its own",
            )


def broker_findings(broker: str) -> Iterator[Finding]:
    """`broker` is its name and version."""
    name, _, number = broker.partition(" ")
    if name == "RabbitMQ" and _numbers(number) < _numbers(OLDEST_BROKER):
        yield fault(
            Area.VERSIONS,
            f"the broker is {broker}, and {OLDEST_BROKER} is needed",
            f"upgrade RabbitMQ to {OLDEST_BROKER} or later",
        )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)[:3]))
