"""The events of a streamed response, numbered so that any gateway can go on after any of them.

A number names a place in the run's text, not a count: the turn, the version of the turn's text, and
the characters so far. So it is the same however the text was cut into pieces.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue

from services.gateway.openai.wire.endings import ending_of
from services.gateway.openai.wire.errors import body
from services.gateway.openai.wire.response_objects import (
    ItemStatus,
    OutputText,
    ResponseObject,
    ended,
    item_id,
    message,
)
from services.gateway.openai.wire.texts import MOST_VERSIONS, Piece, StreamedText, TextVersion
from services.gateway.tasks.happenings import Text
from shared.contract.messages import Response

Event = dict[str, JsonValue]

STRIDE = 10_000_000
"""The numbers of one version of a turn's text: more than it has characters."""

_DONE = STRIDE - 5
_LAST = 2**52
"""The number of the last event: above all others, and exact in every JSON reader."""


class ResponseEvents:
    """Makes the events of one response. Those with numbers up to `after` are left out."""

    def __init__(self, begun: ResponseObject, after: int = -1) -> None:
        self._response = begun
        self._after = self._last = after
        self._text = StreamedText()
        self._open: TextVersion | None = None
        self._sent = ""
        self._index = -1

    def begin(self) -> Iterator[Event]:
        body = self._response.model_dump()
        yield from self._event(0, "response.created", response=body)
        yield from self._event(1, "response.in_progress", response=body)

    def add(self, part: Text) -> Iterator[Event]:
        """The events of a part of the run's text."""
        yield from self._piece(self._text.add(part))

    def restart(self, turn: int) -> None:
        self._text.restart(turn)

    def end(self, response: Response) -> Iterator[Event]:
        """The last events."""
        ending = ending_of(response)
        if ending.finish_reason:
            yield from self._piece(self._text.end(response.content))
        item = self._item if self._open is not None else None
        yield from self._close("completed" if ending.finish_reason else "incomplete", final=True)
        final = ended(self._response, response, item)
        name = "failed" if ending.finish_reason is None else final.status
        yield from self._event(_LAST, f"response.{name}", response=final.model_dump())

    def error(self, error: Exception) -> Event:
        """The event for an error that ends the stream and not the run: it has the number of the
        event before it, after which the client can go on."""
        fields = body(error).error.model_dump(include={"code", "message", "param"})
        return {"type": "error", "sequence_number": max(self._last, 0), **fields}

    def _piece(self, piece: Piece | None) -> Iterator[Event]:
        if piece is None:
            return
        if piece.place != self._open:
            again = self._open is not None and piece.place.turn == self._open.turn
            yield from self._close("incomplete" if again else "completed", final=False)
            yield from self._begin(piece.place)
        before = len(self._sent)
        self._sent += piece.text
        known = max(0, self._after - self._number(1) - before)  # characters that were sent before
        yield from self._event(
            self._number(1) + len(self._sent),
            "response.output_text.delta",
            **self._where,
            delta=piece.text[known:],
            logprobs=[],
        )

    def _begin(self, place: TextVersion) -> Iterator[Event]:
        self._open, self._sent = place, ""
        self._index += 1
        empty = message(self._item, "", "in_progress").model_dump() | {"content": [], "phase": None}
        yield from self._event(
            self._number(0), "response.output_item.added", output_index=self._index, item=empty
        )
        part = OutputText(text="").model_dump()
        yield from self._event(
            self._number(1), "response.content_part.added", **self._where, part=part
        )

    def _close(self, status: ItemStatus, *, final: bool) -> Iterator[Event]:
        """The events that end the open item, if there is one."""
        if self._open is None:
            return
        text, part = self._sent, OutputText(text=self._sent).model_dump()
        item = message(self._item, text, status, final=final).model_dump()
        yield from self._event(
            self._number(_DONE), "response.output_text.done", **self._where, text=text, logprobs=[]
        )
        yield from self._event(
            self._number(_DONE + 1), "response.content_part.done", **self._where, part=part
        )
        yield from self._event(
            self._number(_DONE + 2),
            "response.output_item.done",
            output_index=self._index,
            item=item,
        )
        self._open = None

    @property
    def _item(self) -> str:
        place = self._open or TextVersion(0)
        return item_id(self._response.id, f"_{place.turn}_{place.version}")

    @property
    def _where(self) -> Event:
        return {"item_id": self._item, "output_index": self._index, "content_index": 0}

    def _number(self, place: int) -> int:
        """The number of a place in the open item, after those of the first two events."""
        opened = self._open or TextVersion(0)
        return (opened.turn * MOST_VERSIONS + opened.version) * STRIDE + 2 + place

    def _event(self, number: int, name: str, **fields: JsonValue) -> Iterator[Event]:
        if number > self._after:
            self._last = number
            yield {"type": name, "sequence_number": number, **fields}
