"""The text of a run, from the pieces that its process publishes and the replies in its journal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from services.gateway.tasks.happenings import Restart, Text
from shared.contract.stream import StreamPart


@dataclass
class _Reply:
    retry: int
    next: int = 0
    """The sequence of the next piece."""
    text: str = ""
    whole: bool = True


class FollowedText:
    """The text that one client has received. Pieces can be lost; the reply in the journal, which
    follows them, makes up for that."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._owner = (0, 0)
        self._replies: dict[int, _Reply] = {}
        self._recorded = 0
        """The last turn whose reply is in the journal: no piece of it counts any more."""

    def add(self, part: StreamPart) -> Iterator[Text | Restart]:
        """Add a piece; yields what the client gets: nothing if it is a copy, or void, or of another
        run."""
        owner = (part.epoch, part.attempt)
        if part.run_id != self._run_id or owner < self._owner or part.turn <= self._recorded:
            return
        taken_over, self._owner = owner > self._owner, owner
        if taken_over and (void := [turn for turn in self._replies if turn >= part.turn]):
            for turn in void:
                del self._replies[turn]
            yield Restart(min(void), "taken over")
        reply = self._replies.setdefault(part.turn, _Reply(part.retry))
        if part.retry > reply.retry:
            self._replies[part.turn] = fresh = _Reply(part.retry)
            if reply.text:
                yield Restart(part.turn, "retried")
            reply = fresh
        if part.retry < reply.retry or part.sequence < reply.next:
            return
        gap = part.sequence > reply.next
        reply.whole &= not gap
        reply.text += part.text
        reply.next = part.sequence + 1
        yield Text(part.turn, part.text, gap)

    def record(self, turn: int, content: str) -> Iterator[Text | Restart]:
        """The journal has the reply of this turn: repeat it if the client has not received it."""
        self._recorded = max(self._recorded, turn)
        reply = self._replies.pop(turn, None)
        if not content.strip() or (reply and reply.whole and reply.text.strip() == content.strip()):
            return
        if reply is not None and reply.whole and content.startswith(reply.text):
            yield Text(turn, content[len(reply.text) :])  # the last pieces are only late
            return
        if reply is not None and reply.text:
            yield Restart(turn, "lost")
        yield Text(turn, content)
