"""The report of a failure that ends a process or a command.

It is apart from `runtime`, so that a command that fails loads no HTTP server and no metrics.
"""

from __future__ import annotations

import sys
import traceback

from shared.errors import HutchError
from shared.telemetry import logs


def report_failure(program: str, error: BaseException, *, trace: bool) -> int:
    """Write to stderr, in one sentence, why `program` ends; returns the exit code."""
    if trace:
        traceback.print_exception(error)
    cause = _first(error)
    sys.stderr.write(f"{program}: {_sentence(cause)}\n")
    return cause.exit_code if isinstance(cause, HutchError) else 1


def _first(error: BaseException) -> BaseException:
    """The error of a group to report: the first `HutchError`, or else the first error."""
    if isinstance(error, BaseExceptionGroup):
        return _first((error.subgroup(HutchError) or error).exceptions[0])
    return error


def _sentence(error: BaseException) -> str:
    if isinstance(error, HutchError):
        return logs.masked_text(str(error))
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = logs.masked_text(f"{type(error).__name__}: {error}".splitlines()[0])
    return (
        f"a fault of ours at {frame.filename}:{frame.lineno}: {text}; HUTCH_DEBUG=1 shows the trace"
    )
