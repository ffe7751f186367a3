from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO

from rich.console import Console

from services.cli.output import clock_time
from services.cli.task_tree import TaskTree, line
from shared.contract.messages import Event

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)


def _event(name: str, agent: str, task: str, parent: str | None, **detail: str) -> Event:
    return Event(
        name=name,
        at=NOW,
        agent=agent,
        instance=f"{agent}.1",
        run_id=f"run-{agent}-{task}",
        task_id=task,
        root_id="t",
        parent_id=parent,
        detail={**detail},
    )


def _drawn(tree: TaskTree) -> list[str]:
    console = Console(width=100, file=StringIO())
    console.print(tree.drawn())
    assert isinstance(console.file, StringIO)
    return [text.rstrip() for text in console.file.getvalue().splitlines()]


def test_the_tree_shows_each_run_below_the_run_that_caused_it() -> None:
    tree = TaskTree("ann", "t")
    tree.add(_event("run.started", "ann", "t", None))
    tree.add(_event("worker.asked", "ann", "t", None, worker="bea"))
    tree.add(_event("run.started", "bea", "t.1", "t"))
    tree.add(_event("tool.called", "bea", "t.1", "t", tool="count", outcome="ok"))
    tree.add(_event("run.started", "cid", "t.1.1", "t.1"))
    first, second, third = _drawn(tree)
    assert first.startswith("ann  running")
    assert first.endswith("waits for bea")
    assert second.startswith("└── bea  running")
    assert second.endswith("used count")
    assert third.startswith("    └── cid  running")


def test_a_run_whose_model_fails_shows_the_reason_until_it_continues() -> None:
    tree = TaskTree("ann", "t")
    tree.add(_event("run.started", "ann", "t", None))
    off = _event("run.put_off", "ann", "t", None, seconds="5.0", reason="rate_limited")
    tree.add(off)
    assert _drawn(tree)[0].startswith("ann  postponed, its model fails (rate_limited)")
    assert line(off) == f"{clock_time(NOW)} ann waits 5.0 s: its model fails (rate_limited)"
    tree.add(_event("run.started", "ann", "t", None))
    assert _drawn(tree)[0].startswith("ann  running")


def test_a_run_that_waits_for_a_limit_says_so_until_it_continues() -> None:
    tree = TaskTree("ann", "t")
    tree.add(_event("run.started", "ann", "t", None))
    limited = _event("run.limited", "ann", "t", None, seconds="7.5")
    tree.add(limited)
    assert _drawn(tree)[0].startswith("ann  waits for the limit of its model")
    assert line(limited) == f"{clock_time(NOW)} ann waits 7.5 s for the limit of its model"
    tree.add(_event("run.started", "ann", "t", None))
    assert _drawn(tree)[0].startswith("ann  running")


def test_an_ended_run_keeps_its_place_and_shows_its_status() -> None:
    tree = TaskTree("ann", "t")
    tree.add(_event("run.started", "bea", "t.1", "t"))
    tree.add(_event("run.ended", "bea", "t.1", "t", status="failed"))
    tree.end("ok")
    assert [text.split(" · ")[0] for text in _drawn(tree)] == ["ann  ok", "└── bea  failed"]


def test_a_run_with_an_unknown_parent_is_shown_below_the_root() -> None:
    tree = TaskTree("ann", "t")
    tree.add(_event("model.called", "cid", "t.1.1", "t.1"))
    assert _drawn(tree)[1].startswith("└── cid  running")
    assert _drawn(tree)[1].endswith("1 model call")


def test_an_event_is_one_line_or_none() -> None:
    asked = _event("worker.asked", "ann", "t", None, worker="bea")
    assert line(asked) == "09:00:00 ann asks bea"
    assert line(_event("run.waiting", "ann", "t", None)) is None
    assert line(_event("worker.asked", "ann", "t", None)) == "09:00:00 ann worker.asked"


def test_control_codes_in_events_do_not_reach_the_terminal() -> None:
    tree = TaskTree("ann", "t")
    tree.add(_event("run.started", "bea\x1b[2J", "t.1", "t"))
    tree.add(_event("tool.called", "bea\x1b[2J", "t.1", "t", tool="\x1b]0;title\x07"))
    assert "\x1b" not in "".join(_drawn(tree))


def test_a_paused_agent_is_called_paused_until_it_is_not() -> None:
    tree = TaskTree("ann", "t")
    pause = Event(name="agent.paused", at=NOW, agent="ann", instance="ann.1")
    tree.add(pause)
    assert _drawn(tree)[0].endswith("paused")
    assert line(pause) == "09:00:00 ann is paused"
    assert tree.concerns(pause)
    assert not tree.concerns(pause.model_copy(update={"agent": "bea"}))
    tree.add(pause.model_copy(update={"name": "agent.unpaused"}))
    assert not _drawn(tree)[0].endswith("paused")


def test_the_tree_shows_what_waits_for_a_decision_until_it_has_come() -> None:
    tree = TaskTree("ann", "t")
    asked = _event("approval.requested", "ann", "t", None, approval="k7", kind="tool", call="pay")
    for event in (_event("run.started", "ann", "t", None), asked):
        tree.add(event)
    tree.add(_event("run.parked", "ann", "t", None))
    [ann] = _drawn(tree)
    assert "parked" in ann
    assert "asks for approval of pay: hutch approve k7" in ann
    assert tree.approvals == ["k7"]
    assert line(asked) == (
        f"{clock_time(NOW)} ann asks for approval of pay: 'hutch approve k7', or 'hutch deny k7'"
    )
    tree.add(_event("run.started", "ann", "t", None))
    tree.add(
        _event("approval.decided", "ann", "t", None, approval="k7", call="pay", state="denied")
    )
    assert "approval" not in _drawn(tree)[0]
    assert tree.approvals == []
