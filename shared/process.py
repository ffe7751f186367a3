"""The same life for every process: logging, signals, health, one sentence at a failure."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import structlog
import uvicorn
from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    ProcessCollector,
    generate_latest,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from shared import telemetry
from shared.errors import HutchError, SettingsError
from shared.settings import Settings

STOP_S = 5.0
"""What handing over may take after `stop`, or after the drain has used up its time."""
HEALTH_CLOSE_S = 1
"""A reader of /metrics that doesn't finish can't hold the end of a process longer than this."""

Mode = Literal["drain", "stop"]
Check = Callable[[], str]
"""Why not, in a few words; empty when all is well. Called in the event loop: must not block."""


class Stopping:
    """The wish that this process ends: first `drain`, then perhaps `stop`, never back."""

    def __init__(self) -> None:
        self._asked = {"drain": asyncio.Event(), "stop": asyncio.Event()}

    @property
    def mode(self) -> Mode | None:
        if self._asked["stop"].is_set():
            return "stop"
        return "drain" if self._asked["drain"].is_set() else None

    def ask(self, mode: Mode) -> None:
        """Wakes whoever waits for this mode; `stop` wakes those who wait for `drain` too."""
        self._asked["drain"].set()
        if mode == "stop":
            self._asked["stop"].set()

    def signalled(self) -> None:
        """What SIGTERM and SIGINT do: the first asks for a drain, any later one for a stop."""
        self.ask("stop" if self.mode else "drain")

    async def wait(self, mode: Mode = "drain") -> None:
        await self._asked[mode].wait()


@dataclass
class Process:
    """What a process's `main` gets: its settings, its wish to end, and where it tells its health.

    `main` returns once `stopping` is asked for: after a drain within `settings.drain_s`, after
    a stop at once. If it doesn't, it is cancelled `STOP_S` later.
    """

    service: str
    settings: Settings
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    stopping: Stopping = field(default_factory=Stopping)
    live: Check = lambda: ""
    ready: Check = lambda: "starting"


Main = Callable[[Process], Awaitable[None]]


def run(service: str, main: Main) -> int:
    """Runs `main` to its end and returns the exit code: 0 after a drain or a stop.

    A failure is one sentence on stderr, `hutch <service>: …`, with the error's own exit code;
    `HUTCH_DEBUG` adds the trace.
    """
    debug = False
    try:
        settings = Settings.from_environment()
        debug = settings.debug
        telemetry.configure(settings.log_format, service)
        with asyncio.Runner() as runner:
            runner.run(_live(Process(service, settings), main))
    except Exception as error:  # noqa: BLE001 - the outermost frame: a bug ends in one sentence too
        if debug:
            traceback.print_exc()
        cause = _first(error)
        sys.stderr.write(f"hutch {service}: {_sentence(cause)}\n")
        return cause.exit_code if isinstance(cause, HutchError) else 1
    return 0


async def _live(process: Process, main: Main) -> None:
    ProcessCollector(registry=process.registry)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.stopping.signalled)
    async with _health(process), _limited(process):
        await main(process)


@contextlib.asynccontextmanager
async def _limited(process: Process) -> AsyncIterator[None]:
    """Cancels what runs inside when it outlives the time that a drain or a stop gives it."""
    loop = asyncio.get_running_loop()

    async def watch(limit: asyncio.Timeout) -> None:
        await process.stopping.wait("drain")
        limit.reschedule(loop.time() + process.settings.drain_s + STOP_S)
        await process.stopping.wait("stop")
        limit.reschedule(loop.time() + STOP_S)

    limit = asyncio.timeout(None)
    try:
        async with limit:
            watching = asyncio.create_task(watch(limit))
            try:
                yield
            finally:
                watching.cancel()
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise HutchError(
            "did not end in time and was cut off; another instance takes over what it ran"
        ) from error


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the process: uvicorn would end with the first one."""
        yield


@contextlib.asynccontextmanager
async def _health(process: Process) -> AsyncIterator[None]:
    """Serves /live, /ready and /metrics while what is inside runs."""
    with _listener(process.settings) as listener:
        server = _Server(
            uvicorn.Config(
                _application(process),
                http="h11",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                timeout_graceful_shutdown=HEALTH_CLOSE_S,
            )
        )
        host, port = listener.getsockname()[:2]
        structlog.get_logger().info("health is served", host=host, port=port)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield
        finally:
            server.should_exit = True
            await serving


def _listener(settings: Settings) -> socket.socket:
    address = (settings.health_host, settings.health_port)
    try:
        family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server(address, family=family)
    except OSError as error:
        raise SettingsError(
            f"can't serve health on {address[0]}:{address[1]}: {error.strerror}; "
            "set HUTCH_HEALTH_HOST and HUTCH_HEALTH_PORT, or port 0 for any free one"
        ) from error


def _application(process: Process) -> Starlette:
    async def live(_: Request) -> Response:
        return _answer(process.live())

    async def ready(_: Request) -> Response:
        return _answer("stopping" if process.stopping.mode else process.ready())

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(process.registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return Starlette(
        routes=[Route("/live", live), Route("/ready", ready), Route("/metrics", metrics)]
    )


def _answer(why_not: str) -> Response:
    return PlainTextResponse(f"{why_not or 'ok'}\n", status_code=503 if why_not else 200)


def _first(error: BaseException) -> BaseException:
    """The error to tell of a group: ours before foreign ones, the first before later ones."""
    if isinstance(error, BaseExceptionGroup):
        return _first((error.subgroup(HutchError) or error).exceptions[0])
    return error


def _sentence(error: BaseException) -> str:
    if isinstance(error, HutchError):
        return telemetry.masked_text(str(error))
    frame = traceback.extract_tb(error.__traceback__)[-1]
    said = telemetry.masked_text(f"{type(error).__name__}: {error}".splitlines()[0])
    return (
        f"a fault of ours at {frame.filename}:{frame.lineno}: {said}; HUTCH_DEBUG=1 shows the trace"
    )
