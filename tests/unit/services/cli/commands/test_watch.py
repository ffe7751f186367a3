from __future__ import annotations

import re
from datetime import UTC, datetime

from services.cli.commands.watch import LINES, line
from services.cli.output import clock_time
from shared.contract.messages import Event
from tests.support.repository import REPOSITORY

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
NAMED = re.compile(r'announce\(\s*"([a-z_.]+)"')


def _event(name: str, run_id: str | None = None, **detail: str | int) -> Event:
    return Event(name=name, at=NOW, agent="bob", instance="bob.1", run_id=run_id, detail={**detail})


def test_a_line_has_time_run_agent_and_what_has_happened() -> None:
    called = _event("model.called", "f" * 32, input_tokens=7, output_tokens=2)
    said = f"{clock_time(NOW)}  {'f' * 12}  bob  has called its model: 7 tokens in, 2 out"
    assert line(called) == said
    assert line(_event("agent.paused")) == f"{clock_time(NOW)}  {' ' * 12}  bob  is paused"


def test_an_event_of_another_version_is_shown_by_its_name() -> None:
    assert line(_event("moon.risen")).endswith("bob  moon.risen")
    assert line(_event("tool.called", calls=3)).endswith("bob  tool.called")


def test_every_event_of_an_agent_has_a_line() -> None:
    sources = (REPOSITORY / "services" / "agent").rglob("*.py")
    names = {name for file in sources for name in NAMED.findall(file.read_text("utf-8"))}
    assert "run.ended" in names
    assert names <= LINES.keys()
