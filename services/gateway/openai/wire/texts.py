"""A run's text as a stream that never takes back what it has sent."""

from __future__ import annotations

from dataclasses import dataclass

from services.gateway.tasks.happenings import Text

MOST_VERSIONS = 16
"""Versions of one turn's text that are distinguished; a later one counts as the last."""


@dataclass(frozen=True, order=True)
class TextVersion:
    """A turn of the run, and which version of its text: a process that has taken a run over begins
    the turn again, and its model can write something else."""

    turn: int
    version: int = 0


@dataclass(frozen=True)
class Piece:
    """The next part of the text. A new place means that the text before is complete, or void."""

    place: TextVersion
    text: str


class StreamedText:
    """Turns the text of a run, which can begin again, into pieces that can't."""

    def __init__(self) -> None:
        self.place = TextVersion(0)
        self.sent = ""
        """All that was sent at this place."""
        self._again: str | None = None
        """The text of a turn that has begun again, while all of it was sent before."""
        self._broken: int | None = None
        """The turn that lacks a part of its text."""

    def add(self, part: Text) -> Piece | None:
        """The piece that this part of a turn's text adds; None: nothing that was not sent.

        After a gap nothing is added until the turn begins again, or the next one.
        """
        turn, text = part.turn, part.text
        if part.gap:
            self._broken = turn
        if turn == self._broken or turn < self.place.turn:
            return None
        if turn != self.place.turn:
            return self._piece(TextVersion(turn), text)
        if self._again is None:
            return self._more(text)
        self._again += text
        if self.sent.startswith(self._again):
            return None
        return self._rest(self._again)

    def restart(self, turn: int) -> None:
        """The text of this turn begins again."""
        self._broken = None
        if turn == self.place.turn:
            self._again = ""

    def end(self, answer: str) -> Piece | None:
        """The piece that completes the text of the last turn to the answer."""
        if self.sent.strip() == answer.strip():
            return None
        return self._rest(answer)

    def _rest(self, text: str) -> Piece | None:
        """The part of the turn's text that was not sent; all of it if something else was sent."""
        self._again = None
        if text.startswith(self.sent):
            return self._more(text[len(self.sent) :])
        version = min(self.place.version + 1, MOST_VERSIONS - 1)
        return self._piece(TextVersion(self.place.turn, version), text)

    def _more(self, text: str) -> Piece | None:
        self.sent += text
        return Piece(self.place, text) if text else None

    def _piece(self, place: TextVersion, text: str) -> Piece:
        self.place, self.sent, self._again = place, text, None
        return Piece(place, text)
