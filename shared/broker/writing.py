"""One system call for many frames: what is said to the broker in one turn of the loop.

aiormq writes each frame by itself. Each write lets go of Python's lock, which must then be won
back from the store's thread: that cost more than all that is in the frames.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiormq.connection import TransportFactory
from yarl import URL


class Gathering(TransportFactory):
    """Opens connections as aiormq does, with a writer that gathers, to one address of the host."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def create(
        self, url: URL, **kwargs: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        provider = kwargs["ssl_context_provider"]
        tls = await provider.get_context() if url.scheme == "amqps" else None
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.create_connection(
            lambda: protocol,
            self._address,
            url.port or 0,
            ssl=tls,
            server_hostname=url.host if tls else None,
        )
        return reader, _Writer(transport, protocol, reader, loop)


class _Writer(asyncio.StreamWriter):
    def __init__(
        self,
        transport: asyncio.WriteTransport,
        protocol: asyncio.BaseProtocol,
        reader: asyncio.StreamReader,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(transport, protocol, reader, loop)
        self._soon = loop.call_soon
        self._gathered: list[bytes | bytearray | memoryview] = []
        self._ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._gathered:
            self._soon(self._flush)
        self._gathered.append(data)

    def write_eof(self) -> None:
        """What is written after this has nobody to hear it: aiormq says it when it closes."""
        self._flush()
        self._ended = True
        super().write_eof()

    def close(self) -> None:
        self._flush()
        super().close()

    def _flush(self) -> None:
        if self._gathered and not self._ended and not self.transport.is_closing():
            self.transport.write(b"".join(self._gathered))
        self._gathered.clear()
