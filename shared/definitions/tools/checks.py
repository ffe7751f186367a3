"""Functions that check a text. They are loaded and called as tools are; no model calls them.

A check has a parameter `text`. It returns None if the text passes, or the text that takes its
place. It refuses by `PermissionError`, whose text is for the requester. Whatever else it returns or
raises is a failure of the check, and refuses too.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import wraps
from pathlib import Path

from pydantic import ValidationError

from shared.contract.rows import storable
from shared.definitions.functions import Tool, load
from shared.definitions.guardrails import Verdict
from shared.definitions.results import MAX_ERROR_CHARS
from shared.definitions.tools.choice import ToolChoice
from shared.errors import SettingsError

TEXT = "text"
CHECK_LIMIT = timedelta(seconds=30)
"""The longest time that a check may take."""
MOST_CHARS = 1_000_000
"""The longest text that a check may return: as much as fits into a message."""
_MOST_OUTPUT = 8 * MOST_CHARS
"""The longest verdict as JSON, with all characters of its text escaped."""


def load_check(folder: Path, reference: str) -> Tool:
    """The check that a reference such as `checks.py:polite` names, as a tool that returns a
    `Verdict` as JSON. Raises `SettingsError` as `load` does. Call it where no event loop runs.
    """
    choice = ToolChoice(function=reference, repeatable=True, timeout=CHECK_LIMIT)
    tool = load(folder, choice.model_copy(update={"max_result": _MOST_OUTPUT}))
    try:
        tool.signature.arguments.validate_python({TEXT: "text"})
    except ValidationError:
        file = folder / "tools" / reference.partition(":")[0]
        raise SettingsError(
            f"{file}: '{reference.partition(':')[2]}' is no check: a check has the parameter "
            f"'{TEXT}: str', and no other without a default"
        ) from None
    return replace(tool, function=_judging(tool.function))


def _judging(function: Callable[..., object]) -> Callable[..., object]:
    """The function with a verdict as its result, in JSON."""

    async def later(result: Awaitable[object]) -> str:
        try:
            return _verdict(await result)
        except PermissionError as error:
            return _refusal(error)

    def check(*given: object, **named: object) -> object:
        try:
            result = function(*given, **named)
            return later(result) if isinstance(result, Awaitable) else _verdict(result)
        except PermissionError as error:
            return _refusal(error)

    @wraps(function)
    async def check_later(*given: object, **named: object) -> object:
        result = check(*given, **named)
        return await result if isinstance(result, Awaitable) else result

    return check_later if inspect.iscoroutinefunction(function) else wraps(function)(check)


def _verdict(result: object) -> str:
    if result is None:
        return Verdict(outcome="passed").output()
    if not isinstance(result, str):
        raise TypeError(f"a check returns None or a text, not {type(result).__name__}")
    if not result.strip() or len(result) > MOST_CHARS:
        raise ValueError(f"a check returns a text of 1 to {MOST_CHARS} characters")
    return Verdict(outcome="changed", text=storable(str.__str__(result))).output()


def _refusal(error: PermissionError) -> str:
    """The verdict of a check that refuses. An error of the system has a number, and is none."""
    if error.errno is not None:
        raise error
    return Verdict(outcome="refused", reason=storable(str(error))[:MAX_ERROR_CHARS]).output()
