"""As many tests as fit into a time, files in an order by a seed: `-p tests.support.time_limit`."""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter
from typing import Any

import pytest

_NOT_REACHED = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("time limit")
    group.addoption("--seed", default="", help="another text, another order of the files")
    group.addoption(
        "--until",
        type=float,
        default=math.inf,
        help="no test begins after this time, in seconds since 1970; the end lists what is left",
    )


def place(file: str, seed: str) -> str:
    """Sorting by it shuffles files in the same way in every process."""
    return hashlib.sha256(f"{seed}\0{file}".encode()).hexdigest()


@pytest.hookimpl(tryfirst=True)  # pytest then puts together what shares a broker
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seed = config.getoption("seed")
    items.sort(key=lambda item: place(_file(item.nodeid), seed))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    if time.time() < item.config.getoption("until"):
        return None
    _not_reached(item.config).append(item.nodeid)
    return True


def pytest_sessionfinish(session: pytest.Session) -> None:
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["not reached"] = _not_reached(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # a worker of pytest-xdist, which has no types
    _not_reached(node.config).extend(getattr(node, "workeroutput", {}).get("not reached", []))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    files = Counter(_file(test) for test in _not_reached(config))
    if files:
        terminalreporter.section("the time was over")
        for file, number in sorted(files.items()):
            terminalreporter.write_line(f"not reached: {number} in {file}")
        terminalreporter.write_line(
            f"not reached in all: {files.total()} tests in {len(files)} files"
        )


def _not_reached(config: pytest.Config) -> list[str]:
    return config.stash.setdefault(_NOT_REACHED, [])


def _file(test: str) -> str:
    return test.partition("::")[0]
