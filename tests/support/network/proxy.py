"""A TCP proxy that misbehaves on demand: it stands for the network between a process and another.

It runs in a thread of its own, so that synchronous tests can use it too.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CHUNK = 65536
STARTED_S = 10.0


@dataclass
class Proxy:
    """All methods may be called from any thread, and hold for connections old and new."""

    host: str
    to_port: int
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    port: int = 0
    """The proxy's port, on the loopback."""
    connections: int = 0
    """The number of connections so far."""
    _latency_s: float = 0.0
    _cutting: bool = False
    _flows: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, behind: str) -> str:
        """The address of what is behind the proxy, by way of the proxy."""
        return behind.replace(address(behind), f"127.0.0.1:{self.port}")

    def stall(self) -> None:
        """Forward nothing and close nothing: half-open, as when packets are lost."""
        self.loop.call_soon_threadsafe(self._flows.clear)

    def flow(self) -> None:
        """Forward again, at once, also what was held back."""
        self._latency_s, self._cutting = 0.0, False
        self.loop.call_soon_threadsafe(self._flows.set)

    def delay(self, seconds: float) -> None:
        """Delay each direction by so much; order and throughput stay."""
        self._latency_s = seconds

    def cut(self) -> None:
        """End the next connection that says something, in the middle of what it says."""
        self._cutting = True

    async def serve(self, started: threading.Event, ending: asyncio.Event) -> None:
        self._flows.set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        async with server:
            await ending.wait()
            jobs = asyncio.all_tasks() - {asyncio.current_task()}
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
        await asyncio.sleep(0)  # the transports close in the loop's next turn

    async def _connected(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        self.connections += 1
        to_far: asyncio.StreamWriter | None = None
        try:
            await self._flows.wait()
            far, to_far = await asyncio.open_connection(self.host, self.to_port)
            async with asyncio.TaskGroup() as jobs:
                jobs.create_task(self._pump(near, to_far))
                jobs.create_task(self._pump(far, to_near))
        except* OSError:
            pass  # one end is gone: so is the other, below
        finally:
            for end in (to_near, to_far):
                if end is not None:
                    end.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Raises `ConnectionError` when its source has ended, which ends the other way too."""
        clock = asyncio.get_running_loop().time
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def read() -> None:
            while chunk := await source.read(CHUNK):
                held.put_nowait((clock() + self._latency_s, chunk))
            held.put_nowait((clock() + self._latency_s, b""))

        async with asyncio.TaskGroup() as jobs:
            jobs.create_task(read())
            while True:
                due_at, chunk = await held.get()
                await asyncio.sleep(max(0.0, due_at - clock()))
                await self._flows.wait()
                if not chunk:
                    raise ConnectionError("it has ended")
                if self._cutting:
                    self._cutting = False
                    sink.write(chunk[: len(chunk) // 2])
                    await sink.drain()
                    raise ConnectionError("cut")
                sink.write(chunk)
                await sink.drain()


def address(url: str) -> str:
    """Host and port of a URL."""
    parsed = urlsplit(url)
    return f"{parsed.hostname}:{parsed.port}"


@contextmanager
def proxy(before: str) -> Iterator[Proxy]:
    """A proxy before `host:port`, for as long as the block lasts."""
    host, _, port = before.rpartition(":")
    made = Proxy(host, int(port))
    started, ending = threading.Event(), asyncio.Event()

    def run() -> None:
        made.loop.run_until_complete(made.serve(started, ending))
        made.loop.close()

    thread = threading.Thread(target=run, name="proxy", daemon=True)
    thread.start()
    try:
        assert started.wait(STARTED_S), "the proxy did not start"
        yield made
    finally:
        made.loop.call_soon_threadsafe(ending.set)
        thread.join()
