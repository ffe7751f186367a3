"""The frame of every process: logging, signals, health, and the report of a failure."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import NoReturn

from prometheus_client import CollectorRegistry, ProcessCollector

from shared.errors import HutchError
from shared.process import health, http
from shared.process.failure import report_failure
from shared.process.stopping import Stopping
from shared.settings.environment import Settings
from shared.telemetry import logs

STOP_S = 5.0
"""The time for handing over after a stop: a few commits and publishes."""

START_S = 60.0
"""How long a starting process waits for the broker and the store: all often start together."""


@dataclass
class Process:
    """The argument of a process's `main`: its settings, its request to end, its health checks.

    `main` sets `ready` when it has started: a request to end before that cancels it. Afterwards it
    must return by itself: after a drain when its open work has finished, after a stop at once. A
    drain becomes a stop after `settings.drain_s`; `STOP_S` after a stop, `main` is cancelled.
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


GARBAGE_AFTER = 10_000
"""The number of new objects after which garbage is collected. With Python's own 700, a busy agent
spends a twelfth of its CPU on it, and a task leaves hardly any cycles."""

Main = Callable[[Process], Awaitable[None]]


def run(service: str, main: Main, *, stop_s: float = STOP_S) -> int:
    """Run `main` to its end and return the exit code: 0 after a drain or a stop.

    A failure is reported in one sentence on stderr, `hutch <service>: …`, and gives the error's own
    exit code; `HUTCH_DEBUG` adds the traceback.
    """
    debug = False
    gc.set_threshold(GARBAGE_AFTER)
    try:
        settings = Settings.from_environment()
        debug = settings.debug
        logs.configure(settings.log_format, service)
        with asyncio.Runner() as runner:
            runner.run(_run(Process(service, settings), main, stop_s))
    except Exception as error:  # noqa: BLE001 - the outermost frame: bugs are reported too
        return report_failure(f"hutch {service}", error, trace=debug)
    return 0


def exit_now(code: int) -> NoReturn:
    """End the process now, without waiting for what a tool has left behind: threads, executors and
    functions registered with `atexit`."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def _run(process: Process, main: Main, stop_s: float) -> None:
    ProcessCollector(registry=process.registry)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.stopping.signalled)
    async with _health(process), asyncio.TaskGroup() as jobs:
        working = jobs.create_task(_work(process, main))
        overdue = jobs.create_task(_enforce_time_limits(process, working, stop_s))
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


async def _enforce_time_limits(
    process: Process, working: asyncio.Task[None], stop_s: float
) -> None:
    """Turn a drain into a stop after its time; raise if the stop takes too long as well."""
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
