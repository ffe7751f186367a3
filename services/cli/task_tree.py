"""The tree of a task's runs, drawn from their events while `hutch ask` waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rich.text import Text
from rich.tree import Tree

from services.cli.output import clock_time, plain
from shared.contract.messages import Event

LINES = {
    "run.started": "begins",
    "run.put_off": "waits {seconds} s: its model fails ({reason})",
    "run.limited": "waits {seconds} s for the limit of its model",
    "worker.asked": "asks {worker}",
    "worker.answered": "has an answer from {worker}: {status}",
    "tool.called": "has called {tool}: {outcome}",
    "tool.abandoned": "has given up a call of {tool}, which runs on in its thread",
    "approval.requested": "asks for approval of {call}: 'hutch approve {approval}', or 'hutch deny "
    "{approval}'",
    "approval.decided": "goes on: {call} is {state}",
    "run.ended": "has ended: {status}",
    "agent.paused": "is paused",
    "agent.unpaused": "is not paused any more",
}
"""The events that are printed as a line, by name."""


@dataclass
class Branch:
    """One run, as its events have described it until now."""

    agent: str
    task_id: str
    parent_id: str | None
    since: datetime
    state: str = "running"
    ended_at: datetime | None = None
    model_calls: int = 0
    tools: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    approvals: dict[str, str] = field(default_factory=dict)
    """The calls that wait for a decision, by the id of the request."""

    def add(self, event: Event) -> None:
        detail = {key: str(value) for key, value in event.detail.items()}
        match event.name:
            case "run.waiting" | "run.running":
                self.state = event.name.removeprefix("run.")
            case "run.started":
                self.state = "running"
            case "run.parked":
                self.state = "parked"
            case "approval.requested":
                self.approvals[detail.get("approval", "")] = detail.get("call", "")
            case "approval.decided":
                self.approvals.pop(detail.get("approval", ""), None)
            case "run.put_off":
                self.state = f"postponed, its model fails ({detail.get('reason', '')})"
            case "run.limited":
                self.state = "waits for the limit of its model"
            case "run.ended":
                self.state, self.ended_at = detail.get("status", "ended"), event.at
            case "model.called":
                self.model_calls += 1
            case "tool.called":
                self.tools.append(detail.get("tool", ""))
            case "worker.asked":
                self.asked.append(detail.get("worker", ""))
            case "worker.answered" if detail.get("worker") in self.asked:
                self.asked.remove(detail["worker"])

    def label(self, now: datetime) -> Text:
        seconds = ((self.ended_at or now) - self.since).total_seconds()
        calls = f"{self.model_calls} model call{'' if self.model_calls == 1 else 's'}"
        parts = [self.state, f"{max(seconds, 0):.1f} s", calls]
        if self.tools:
            parts.append("used " + ", ".join(self.tools))
        if self.asked and self.ended_at is None:
            parts.append("waits for " + ", ".join(self.asked))
        parts += [
            f"asks for approval of {call}: hutch approve {id}"
            for id, call in self.approvals.items()
            if self.ended_at is None
        ]
        return Text.assemble((plain(self.agent), "bold"), "  ", plain(" · ".join(parts)))


class TaskTree:
    """The run of one task and all runs that it has caused."""

    def __init__(self, agent: str, task_id: str) -> None:
        self._root = Branch(agent, task_id, None, datetime.now(UTC), state="asked")
        self._branches: dict[str, Branch] = {}
        self.paused: set[str] = set()
        """The agents that have been paused meanwhile."""

    def add(self, event: Event) -> None:
        """Add an event. Those of one run arrive in order; a lost one only leaves out a detail."""
        if event.name == "agent.paused":
            self.paused.add(event.agent)
        if event.name == "agent.unpaused":
            self.paused.discard(event.agent)
        if event.run_id is None:
            return
        if event.run_id not in self._branches:
            self._branches[event.run_id] = self._new(event)
        self._branches[event.run_id].add(event)

    def concerns(self, event: Event) -> bool:
        """Whether the event is of one of the runs, or of an agent that has one of them."""
        agents = {it.agent for it in (self._root, *self._branches.values())}
        return event.run_id is not None or event.agent in agents

    def end(self, status: str) -> None:
        """The response has arrived; the run's last event may arrive later."""
        self._root.state = status
        self._root.ended_at = self._root.ended_at or datetime.now(UTC)

    @property
    def approvals(self) -> list[str]:
        """The ids of requests for approval that wait for a decision."""
        return [it for branch in self._branches.values() for it in branch.approvals]

    def drawn(self) -> Tree:
        now = datetime.now(UTC)
        top = Tree(self._label(self._root, now))
        drawn = {self._root.task_id: top}
        for branch in self._branches.values():
            if branch is not self._root:
                above = drawn.get(branch.parent_id or "", top)
                drawn[branch.task_id] = above.add(self._label(branch, now))
        return top

    def _label(self, branch: Branch, now: datetime) -> Text:
        label = branch.label(now)
        if branch.ended_at is None and branch.agent in self.paused:
            label.append(" · paused")
        return label

    def _new(self, event: Event) -> Branch:
        task_id = event.task_id or ""
        if task_id == self._root.task_id:
            self._root.state = "running"
            return self._root
        return Branch(event.agent, task_id, event.parent_id, event.at)


def line(event: Event) -> str | None:
    """An event as a line of text; None if it is not in `LINES`."""
    if event.name not in LINES:
        return None
    return f"{clock_time(event.at)} {event.agent} {sentence(event, LINES)}"


def sentence(event: Event, lines: Mapping[str, str]) -> str:
    """What has happened, without time and agent; the event's name if `lines` has no text for it."""
    try:
        return lines[event.name].format_map(event.detail)
    except KeyError:  # an event of another version has other details
        return event.name
