"""Results and exceptions of users' functions, as text for a model and an operator.

Reading an iterator, serialising a value and formatting an exception all run users' code: call these
functions in a thread, never in the event loop.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Iterator
from typing import TypeVar

from pydantic_core import to_json

from shared.contract.rows import storable
from shared.errors import ToolError
from shared.telemetry.logs import masked_text

R = TypeVar("R")

MAX_RESULT_CHARS = 50_000
"""About 12,000 tokens: a longer result would crowd out the rest of the conversation."""

MAX_ERROR_CHARS = 1_000
"""Enough of an exception's text for a model to correct itself."""

OURS = ("shared.", "services.")
"""The packages of the frames above the user's function, which say nothing about its fault."""

MAX_TRACE_CHARS = 8_000
"""Some forty frames: a trace is logged and stored with its step, even that of a deep recursion."""


def text_of(result: object, most: int = MAX_RESULT_CHARS) -> str:
    """A string unchanged, any other value as JSON, an iterator as an array of its items; all cut
    at `most` characters.

    Raises what the result's own code raises, and `PydanticSerializationError`.
    """
    if isinstance(result, str):
        return capped(str.__str__(result), most)  # only the characters of a subclass
    if isinstance(result, Iterator):
        return _array(result, most)
    return capped(to_json(result).decode(), most)


def capped(text: str, most: int = MAX_RESULT_CHARS) -> str:
    """The text, cut at `most` characters with a line that says so."""
    return _cut(text, len(text), most)


def answered(tool: str, act: Callable[[], R]) -> R:
    """The value that `act` returns. Raises a `ToolError` for the model instead of any exception.

    This includes `SystemExit` and `KeyboardInterrupt`, which only concern the function. The
    exception itself stays here, so that its code runs in no other thread.
    """
    try:
        return act()
    except BaseException as error:  # noqa: BLE001 - a user's function can raise anything
        answer = ToolError(f"{tool} failed: {_shown(error)}", detail=_trace(error))
    raise answer


def first_line(error: BaseException) -> str:
    """The first line of an exception's text."""
    try:
        return str(error).partition("\n")[0][:MAX_ERROR_CHARS]
    except Exception:  # noqa: BLE001 - formatting a user's exception runs a user's code
        return "without a text"


def _array(items: Iterator[object], most: int) -> str:
    """The items as a JSON array; only the part that is shown is kept in memory."""
    parts: list[str] = []
    length = 1
    for item in items:
        text = to_json(item).decode()
        if length <= most:
            parts.append(text)
        length += len(text) + 1
    return _cut(f"[{','.join(parts)}]", max(length, 2), most)


def _cut(text: str, length: int, most: int) -> str:
    if length <= most:
        return text
    return f"{text[:most]}\n[cut: the first {most} of {length} characters]"


def _shown(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return "it was cancelled"
    try:
        text = str(error)[:MAX_ERROR_CHARS]
    except BaseException as fault:  # noqa: BLE001 - its text is a user's code too
        text = f"(its text can't be shown: {type(fault).__name__})"
    return masked_text(f"{type(error).__name__}: {text}"[:MAX_ERROR_CHARS])


def _trace(error: BaseException) -> str:
    """The exception's traceback from the user's first frame on, secrets masked, cut in the
    middle."""
    try:
        frames = error.__traceback__
        while frames and str(frames.tb_frame.f_globals.get("__name__")).startswith(OURS):
            frames = frames.tb_next
        shown = traceback.TracebackException(type(error), error, frames or error.__traceback__)
        text = "".join(shown.format())
    except BaseException as fault:  # noqa: BLE001 - as above
        text = f"{type(error).__name__} (no traceback: {type(fault).__name__})"
    if len(text) > MAX_TRACE_CHARS:
        half = MAX_TRACE_CHARS // 2
        text = f"{text[:half]}\n[cut: {len(text)} characters]\n{text[-half:]}"
    return masked_text(storable(text))
