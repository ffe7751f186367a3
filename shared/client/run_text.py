"""The text of a run as a client receives it, part by part."""

from __future__ import annotations

from dataclasses import dataclass

from shared.contract.stream import StreamPart

GAP = "…"
"""Stands for parts that were lost."""


@dataclass
class _Reply:
    retry: int
    next: int = 0
    """The sequence of the next part."""
    text: str = ""


class RunText:
    """Puts the parts of one run together. What an earlier attempt or epoch has sent is dropped."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._owner = (0, 0)
        self._turns: dict[int, _Reply] = {}

    @property
    def turns(self) -> dict[int, str]:
        """The text of each turn that has one, in order."""
        return {turn: self._turns[turn].text for turn in sorted(self._turns)}

    def add(self, part: StreamPart) -> None:
        """Add a part. One of another run, a void one and a copy change nothing."""
        owner = (part.epoch, part.attempt)
        if part.run_id != self._run_id or owner < self._owner:
            return
        if owner > self._owner:
            self._owner = owner
            self._turns = {turn: it for turn, it in self._turns.items() if turn < part.turn}
        reply = self._turns.get(part.turn)
        if reply is None or reply.retry < part.retry:
            reply = self._turns[part.turn] = _Reply(part.retry)
        if part.retry < reply.retry or part.sequence < reply.next:
            return
        gap = GAP if part.sequence > reply.next else ""
        reply.text += gap + part.text
        reply.next = part.sequence + 1

    def clear(self) -> None:
        self._turns = {}
