"""Server-sent events: their data, the reply that they add up to, and the text as it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Protocol

from services.agent.llm.chat import OnText
from services.agent.llm.replies import THINK, THOUGHT, decoded, without_comments, without_reasoning
from shared.definitions.functions import JsonObject

_DONE = "[DONE]"


class Assembly(Protocol):
    """A streamed reply that is put together."""

    def add(self, event: JsonObject) -> str:
        """Take one event; returns the text that it adds to the answer."""

    def reply(self) -> JsonObject:
        """The reply in the form of one that was not streamed. Raises `ModelUnavailable` if the
        stream ended before its end.
        """


class Shown:
    """Passes an answer's text on as it comes, without the reasoning that it begins with.

    Each attempt begins with `begin`, which declares void what an earlier one has passed on.
    """

    def __init__(self, on_text: OnText) -> None:
        self._on_text = on_text
        self._held = ""
        self._holding = True
        self._passed = False

    def begin(self) -> None:
        if self._passed:
            self._on_text("")
        self._held, self._holding, self._passed = "", True, False

    def add(self, text: str) -> None:
        if self._holding:
            self._held += text
            text = self._held.lstrip()
            if THINK.startswith(text) or (text.startswith(THINK) and THOUGHT not in text):
                return
            text = without_reasoning(text).lstrip()
            self._holding = not text
        if text:
            self._on_text(text)
            self._passed = True

    def end(self, content: str | None) -> None:
        """Pass on the whole text if no piece of it was: it did not come as a stream, or looked
        like reasoning until its end.
        """
        if content and not self._passed:
            self._on_text(content)


class _Data:
    """Cuts a stream into the data of its events. Comments and other fields are left out."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []

    def feed(self, part: bytes) -> Iterator[str]:
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            yield from self._take(line.rstrip(b"\r"))

    def end(self) -> Iterator[str]:
        yield from self._take(self._rest)
        yield from self._take(b"")

    def _take(self, line: bytes) -> Iterator[str]:
        if line.startswith(b"data:"):
            self._lines.append(line.removeprefix(b"data:").strip())
        elif line.startswith(b"{"):  # an error in plain JSON, where an event was due
            self._lines.append(line)
        elif not line and self._lines:
            data, self._lines = b"\n".join(self._lines), []
            yield data.decode("utf-8", "replace")


async def streamed_reply(
    parts: AsyncIterator[bytes], assembly: Assembly, shown: Shown | None
) -> JsonObject:
    """The reply in a stream of events, its text passed on as it comes."""
    data = _Data()
    async for part in parts:
        for event in data.feed(part):
            if event == _DONE:
                return assembly.reply()
            _add(event, assembly, shown)
    for event in data.end():
        if event != _DONE:
            _add(event, assembly, shown)
    return assembly.reply()


def whole_reply(body: bytes, assembly: Assembly) -> JsonObject:
    """The reply in a body. Some endpoints send events although none were asked for."""
    if not without_comments(body).lstrip().startswith((b"data:", b"event:")):
        return decoded(body)
    data = _Data()
    for event in (*data.feed(body), *data.end()):
        if event != _DONE:
            _add(event, assembly, None)
    return assembly.reply()


def _add(event: str, assembly: Assembly, shown: Shown | None) -> None:
    text = assembly.add(decoded(event))
    if shown and text:
        shown.add(text)
