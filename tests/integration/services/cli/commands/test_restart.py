"""A running 'hutch up': edited files, commands, and a second one beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from services.cli.machine.home import HOME, locked, recorded
from services.cli.machine.models import Provider
from services.cli.up import provider
from tests.support.processes.running import Child, System, system
from tests.support.repository import REPOSITORY

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-3.10"], indirect=True)
"""`up` does not depend on the broker's version."""

ALICE = "{name: alice, schedule: [{name: often, every: 1s, prompt: Go.}]}"
BOB = "{name: bob, tools: ['prices.py:price']}"
PRICES = "def price() -> int: return 1"


@pytest.fixture
def own(broker_url: str, tmp_path: Path) -> Iterator[System]:
    agents = tmp_path / "agents"
    (agents / "tools").mkdir(parents=True)
    (agents / "alice.yaml").write_text(ALICE)
    (agents / "bob.yaml").write_text(BOB)
    (agents / "tools" / "prices.py").write_text(PRICES)
    with system(broker_url, tmp_path, agents) as running:
        running.cwd = tmp_path
        running.env["PYTHONPATH"] = str(REPOSITORY)
        yield running


def up(own: System, *agents: str) -> Child:
    child = own.start("services.cli", "up", *agents, "--provider", "scripted")
    for name in agents or ("alice", "bob"):
        child.wait_for(rf'{name} +\| .*"consuming"')
    return child


def test_edited_files_and_commands_restart_only_their_agents(own: System) -> None:
    child, agents = up(own), own.cwd / "agents"
    tool = agents / "tools" / "prices.py"
    tool.write_text("import no_such_package")
    child.wait_for(r"bob +\| goes on as before: .*no_such_package")
    tool.write_text(PRICES)
    child.wait_for(r"bob +\| its files have no fault any more: it goes on")
    (agents / "tools" / "stock.py").write_text("x = 1")
    tool.write_text("import stock\ndef price() -> int: return 2")
    child.wait_for(r'(?s)bob +\| its files .* have changed.*bob +\| [^\n]*"consuming"')
    (agents / "carol.yaml").write_text("name: carol")
    child.wait_for(r'carol +\| [^\n]*"consuming"')
    (agents / "carol.yaml").unlink()
    child.wait_for(r'(?s)carol +\| its file is gone.*carol +\| [^\n]*"ended"')
    assert own.hutch("scale", "bob", "2").stdout == "bob has 2 processes\n"
    child.wait_for(r'bob\.2 +\| [^\n]*"consuming"')
    assert own.hutch("restart", "bob").stdout == "bob is restarted: 2 processes\n"
    assert not child.count(r'alice +\| [^\n]*"ended"')
    assert child.count(r'bob(\.2)? +\| [^\n]*"ended"') == 3
    assert '"consuming"' in own.hutch("logs", "bob").stdout
    assert own.hutch("down").stdout == "ended 1 'hutch up'\n"
    assert child.ended() == 0


def test_a_second_up_uses_broker_and_provider_of_the_first_and_ends_with_it(own: System) -> None:
    url = own.env.pop("RABBITMQ_URL")
    home = own.cwd / HOME
    home.mkdir()
    with ExitStack() as first:
        first.enter_context(locked(home))
        first.enter_context(recorded(home, url))
        first.enter_context(provider.recorded(home, Provider.SCRIPTED))
        child = own.start("services.cli", "up", "bob")
        child.wait_for('ready: hutch ask bob "…" in another terminal')
        child.wait_for("no agent has a schedule")  # although Alice, who was not started, has one
    assert child.ended() == 0
    assert "the 'hutch up' that ran the broker has ended" in child.output
