"""The actions, the violations, and the messages that may have caused them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.supervisor import Ended
from tests.fuzz.ledger import Ledger
from tests.fuzz.logs import Fault, kinds
from tests.support.invariants import ABOUT

SHOWN = 5
"""The number of names that a violation lists."""


@dataclass(frozen=True)
class Found:
    """The state of processes, store, broker and logs once all is quiet."""

    ended: Sequence[Ended] = ()
    """Processes that ended before they were asked to at the very end."""
    wrong: Sequence[str] = ()
    """Broken invariants, in sentences; see `tests.support.invariants`."""
    silent: Mapping[str, str] = field(default_factory=dict)
    """Agents that did not answer an honest task as they should, and what they said."""
    faults: Sequence[Fault] = ()
    """In the logs."""
    commands: Sequence[str] = ()
    """Commands that failed by a fault of the product."""
    commands_given: int = 0
    model_calls: int = 0


@dataclass
class Report:
    ledger: Ledger
    found: Found
    rows: list[tuple[str, str]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._done()
        self._answers()
        self._processes()
        self._rest()

    def _done(self) -> None:
        for fate, number in sorted(self.ledger.sent.items()):
            self._row(f"messages {fate}", number)
        self._row("commands given", self.found.commands_given)
        self._row("model calls", self.found.model_calls)
        for status, number in sorted(self.ledger.statuses.items()):
            self._row(f"answers: {status}", number)

    def _answers(self) -> None:
        ledger = self.ledger
        self._row("answers owed", ledger.owed)
        self._none("unanswered", {ledger.where(call) for call in ledger.unanswered})
        self._none("answered in two ways", {ledger.where(it) for it in ledger.in_two_ways()})
        unreadable = {f"{ledger.where(it)}: {why}" for it, why in ledger.unreadable.items()}
        self._none("answers that no client can read", unreadable)
        self._none("answers to nothing", ledger.unexpected())
        self._none("agents that don't answer an honest task",
                   {f"{agent}: {said}" for agent, said in self.found.silent.items()})  # fmt: skip

    def _processes(self) -> None:
        deaths = [it for it in self.found.ended if it.code]
        self._row("processes that were asked to end, and did", len(self.found.ended) - len(deaths))
        last = Counter(f"{it.agent} ({it.code}): {it.output.splitlines()[-1:]}" for it in deaths)
        self._none("process deaths", {f"{n} of {said}" for said, n in last.items()}, len(deaths))
        for kind, number, first in kinds(self.found.faults):
            self.violations.append(f"in the logs, {number} times: {kind}\n{first.text}")
        self._row("errors in the logs", len(self.found.faults))
        self._none("commands that failed by a fault of ours", set(self.found.commands))

    def _rest(self) -> None:
        for about in ABOUT:
            self._none(f"left: {about}", {it for it in self.found.wrong if it.startswith(about)})

    def _row(self, what: str, value: object) -> None:
        self.rows.append((what, str(value)))

    def _none(self, what: str, names: Collection[str], number: int | None = None) -> None:
        """A row whose number must be 0."""
        found = len(names) if number is None else number
        self._row(what, found)
        if found:
            self.violations.append(f"{what}: {found}: {', '.join(sorted(names)[:SHOWN])}")
