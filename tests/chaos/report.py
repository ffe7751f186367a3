"""The sets compared: what was sent, what came of it, and what it cost."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.agents import MODEL_CALLS, answer
from tests.chaos.ledger import Ledger, Received
from tests.chaos.nemesis import Done
from tests.support.invariants import ABOUT

SHOWN = 5
"""The number of names that a violation lists."""


@dataclass(frozen=True)
class Left:
    """The state of processes, store and broker at the end."""

    wrong: Sequence[str]
    """Broken invariants, in sentences; see `tests.support.invariants`."""
    dead: Sequence[str]
    """The ids of the messages that are dead letters."""
    ended: Sequence[str] = ()
    """Processes that ended by themselves, and what they said last."""


@dataclass(frozen=True)
class Costs:
    model_calls: Counter[str]
    """The number of model calls by step."""
    marks: dict[str, int]
    """The marks of the tool, by task."""
    killed: int
    frozen: int


@dataclass
class Report:
    ledger: Ledger
    left: Left
    costs: Costs
    done: Sequence[Done]
    rows: list[tuple[str, str]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._answers()
        self._cost()
        self._rest()
        self._recovery()

    def _answers(self) -> None:
        sent, received = self.ledger.confirmed, self.ledger.responses()
        known = self.ledger.tried | self.ledger.poisons
        copies = {task: {it.body for it in them} for task, them in received.items()}
        self._row("tasks confirmed by the broker", len(sent))
        self._none("lost", sent - received.keys())
        self._none("answered in two ways", {t for t in sent if len(copies.get(t, ())) > 1})
        self._none("unexpected", received.keys() - known)
        self._none(
            "not ok",
            {
                f"{task}: {them[0].status}: {them[0].content}"
                for task, them in received.items()
                if task in sent and (them[0].status, them[0].content) != ("ok", answer(task))
            },
        )
        self._none(
            "poisons not refused", {p for p in self.ledger.poisons if not _refused(received, p)}
        )
        again = sum(len(them) - 1 for task, them in received.items() if task in sent)
        self._row("copies of a response delivered again", again)

    def _cost(self) -> None:
        calls, steps = self.costs.model_calls, MODEL_CALLS * len(self.ledger.confirmed)
        deaths = self.costs.killed + self.costs.frozen
        again = {step for step, times in calls.items() if times > 1}
        self._row("model steps", steps)
        self._row("model calls", f"{calls.total()} (at most {steps + deaths})")
        self._row("processes killed, frozen", f"{self.costs.killed}, {self.costs.frozen}")
        if calls.total() > steps + deaths:
            self.violations.append(f"model calls: {calls.total() - steps} repeated: {_some(again)}")
        marks = self.costs.marks
        unmarked, effects = self.ledger.confirmed - marks.keys(), sum(marks.values())
        most = len(self.ledger.confirmed) + deaths
        self._row("tool effects", f"{effects} (at most {most})")
        self._none("tasks without an effect", unmarked)
        if effects > most:
            twice = {task for task, times in marks.items() if times > 1}
            self.violations.append(f"tool effects: {effects - most} too many: {_some(twice)}")

    def _rest(self) -> None:
        left, poisons = self.left, self.ledger.poisons
        for about in ABOUT:
            self._none(f"left: {about}", {it for it in left.wrong if it.startswith(about)})
        self._none("ended by themselves", set(left.ended))
        self._row("poisons, dead letters", f"{len(poisons)}, {len(left.dead)}")
        self._none("poisons not among the dead letters", poisons - set(left.dead))
        self._none("dead letters that are no poisons", set(left.dead) - poisons)

    def _recovery(self) -> None:
        """From a fault's end to the next answer, without the time that later faults last."""
        received = self.ledger.responses().values()
        finished = sorted(min(it.at for it in them) for them in received)
        by_kind: dict[str, list[float]] = defaultdict(list)
        for done in self.done:
            after = next((at for at in finished if at > done.at), math.inf)
            later = sum(max(0, min(it.at, after) - max(it.began, done.at)) for it in self.done)
            by_kind[done.fault.kind].append(after - done.at - later)
        for kind, took in sorted(by_kind.items()):
            self._row(f"{kind}, times", f"{len(took)}; longest recovery {max(took):.1f} s")
        every = [took_s for of_kind in by_kind.values() for took_s in of_kind]
        if every:
            row = f"{quantile(every, 0.5):.1f} s, {quantile(every, 0.95):.1f} s"
            self._row("from a fault's end to the next answer: p50, p95", row)

    def _row(self, what: str, value: object) -> None:
        self.rows.append((what, str(value)))

    def _none(self, what: str, found: set[str]) -> None:
        """A row whose number must be 0."""
        self._row(what, len(found))
        if found:
            self.violations.append(f"{what}: {len(found)}: {_some(found)}")


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that so many are not above."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _refused(received: Mapping[str, Sequence[Received]], poison: str) -> bool:
    return {it.status for it in received.get(poison, ())} == {"refused"}


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)[:SHOWN])
