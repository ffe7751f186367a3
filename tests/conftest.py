"""For all tests: Ctrl-C, skips for missing parts, and a summary, also from xdist's workers."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")  # read when it is imported

from tests.support.machine import need
from tests.support.report import summary

pytest_plugins = [
    "tests.support.brokers.fixtures",
    "tests.support.processes.fixtures",
    "tests.support.stores.fixtures",
]

UNIT = Path(__file__).parent / "unit"


def pytest_sessionstart() -> None:
    """A shell that runs the tests in the background has them ignore Ctrl-C; the processes that they
    start would ignore it with them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_itemcollected(item: pytest.Item) -> None:
    """`make check` runs what is marked `unit`: the tests of that folder that need no container."""
    if UNIT in item.path.parents and not item.get_closest_marker("container"):
        item.add_marker("unit")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        need(*mark.args)


def pytest_sessionfinish(session: pytest.Session) -> None:
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["summary"] = summary(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # a worker of pytest-xdist, which has no types
    summary(node.config).update(getattr(node, "workeroutput", {}).get("summary", {}))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for name, what in sorted(summary(config).items()):
        terminalreporter.write_line(f"{name}: {what}")
    skipped = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    for reason, number in sorted(skipped.items()):
        terminalreporter.write_line(f"NOT RUN: {number} of the tests: {reason}")


def _reason(report: pytest.TestReport) -> str:
    _, _, reason = cast(tuple[str, int, str], report.longrepr)
    return reason.removeprefix("Skipped: ")
