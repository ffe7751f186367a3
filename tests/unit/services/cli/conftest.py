"""A folder of agents for commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import CLOSED

ALICE = "{name: alice, description: Manages., preamble: Manage., workers: [bob]}"
SCHEDULE = "[{name: a, every: 1h, prompt: Go.}]"
BOB = f"{{name: bob, description: Writes., preamble: Write., schedule: {SCHEDULE}}}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Alice and Bob, and a store that was never migrated."""
    agents = tmp_path / "agents"
    agents.mkdir()
    (agents / "alice.yaml").write_text(ALICE)
    (agents / "bob.yaml").write_text(BOB)
    monkeypatch.setenv("HUTCH_AGENTS", str(agents))
    monkeypatch.setenv("HUTCH_STORE", f"sqlite:///{tmp_path / 'hutch.db'}")
    monkeypatch.setenv("RABBITMQ_URL", CLOSED)
    return agents
