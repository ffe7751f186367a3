"""For all tests: Ctrl-C, and the lines at the end, also from worker processes."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.said import said


def pytest_sessionstart() -> None:
    """A shell that runs the tests in the background has them ignore Ctrl-C; the processes that they
    start would ignore it with them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionfinish(session: pytest.Session) -> None:
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["said"] = said(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # a worker of pytest-xdist, which has no types
    said(node.config).update(getattr(node, "workeroutput", {}).get("said", {}))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for name, what in sorted(said(config).items()):
        terminalreporter.write_line(f"{name}: {what}")
