"""The same life for every process: logging, signals, health, one sentence at a failure."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import NoReturn

from prometheus_client import CollectorRegistry, ProcessCollector

from shared.errors import HutchError
from shared.process import health, http
from shared.process.stopping import Stopping
from shared.settings.environment import Settings
from shared.telemetry import logs

STOP_S = 5.0
"""What handing over may take after a stop: a few commits and publishings."""

START_S = 60.0
"""What a starting process waits for a broker or store that is away: all often start together."""


@dataclass
class Process:
    """What a process's `main` gets: its settings, its wish to end, and where it tells its health.

    `main` sets `ready` once it serves: asked to end before that, it is cancelled. Afterwards it
    returns once it may: after a drain when what runs has finished, after a stop at once.
    A drain becomes a stop after `settings.drain_s`; `STOP_S` after a stop, `main` is cancelled.
    """

    service: str
    settings: Settings
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    stopping: Stopping = field(default_factory=Stopping)
    live: health.Check = lambda: ""
    ready: health.Check | None = None

    def why_not_ready(self) -> str | Awaitable[str]:
        if self.stopping.mode:
            return "stopping"
        return self.ready() if self.ready else "starting"


Main = Callable[[Process], Awaitable[None]]


def run(service: str, main: Main, *, stop_s: float = STOP_S) -> int:
    """Runs `main` to its end and returns the exit code: 0 after a drain or a stop.

    A failure is one sentence on stderr, `hutch <service>: …`, with the error's own exit code;
    `HUTCH_DEBUG` adds the trace.
    """
    debug = False
    try:
        settings = Settings.from_environment()
        debug = settings.debug
        logs.configure(settings.log_format, service)
        with asyncio.Runner() as runner:
            runner.run(_live(Process(service, settings), main, stop_s))
    except Exception as error:  # noqa: BLE001 - the outermost frame: a bug ends in one sentence too
        return failed(f"hutch {service}", error, trace=debug)
    return 0


def leave(code: int) -> NoReturn:
    """End the process now. What a tool has left behind, a thread, an executor or something
    registered with `atexit`, would keep it for as long as that takes."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def failed(who: str, error: BaseException, *, trace: bool) -> int:
    """Says on stderr, in one sentence, why `who` ends; returns the exit code."""
    if trace:
        traceback.print_exception(error)
    cause = _first(error)
    sys.stderr.write(f"{who}: {_sentence(cause)}\n")
    return cause.exit_code if isinstance(cause, HutchError) else 1


async def _live(process: Process, main: Main, stop_s: float) -> None:
    ProcessCollector(registry=process.registry)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.stopping.signalled)
    async with _health(process), asyncio.TaskGroup() as jobs:
        working = jobs.create_task(_work(process, main))
        overdue = jobs.create_task(_overdue(process, working, stop_s))
        await asyncio.wait([working])
        overdue.cancel()


async def _work(process: Process, main: Main) -> None:
    await main(process)


def _health(process: Process) -> AbstractAsyncContextManager[None]:
    application = health.application(
        live=lambda: process.live(),
        ready=process.why_not_ready,
        registry=process.registry,
    )
    return http.serving(
        application,
        process.settings.health_host,
        process.settings.health_port,
        what="health",
        variables="HUTCH_HEALTH_HOST and HUTCH_HEALTH_PORT",
    )


async def _overdue(process: Process, working: asyncio.Task[None], stop_s: float) -> None:
    """Turns a drain that has used up its time into a stop; fails when the stop does too."""
    await process.stopping.wait("drain")
    if process.ready is None:
        working.cancel()
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(process.settings.drain_s):
            await process.stopping.wait("stop")
    process.stopping.ask("stop")
    await asyncio.sleep(stop_s)
    raise HutchError("did not end in time and was cut off; another instance takes over what it ran")


def _first(error: BaseException) -> BaseException:
    """The error to tell of a group: ours before foreign ones, the first before later ones."""
    if isinstance(error, BaseExceptionGroup):
        return _first((error.subgroup(HutchError) or error).exceptions[0])
    return error


def _sentence(error: BaseException) -> str:
    if isinstance(error, HutchError):
        return logs.masked_text(str(error))
    frame = traceback.extract_tb(error.__traceback__)[-1]
    said = logs.masked_text(f"{type(error).__name__}: {error}".splitlines()[0])
    return (
        f"a fault of ours at {frame.filename}:{frame.lineno}: {said}; HUTCH_DEBUG=1 shows the trace"
    )
