"""One system call for all frames that are written to the broker in one turn of the event loop.

aiormq writes each frame on its own. Each system call gives up Python's lock, which must then be won
back from the store's thread; that costs more than all the work on the frames.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError
from yarl import URL

_Data = bytes | bytearray | memoryview


class GatheringTransport(TransportFactory):
    """Opens connections as aiormq does, with a writer that gathers frames."""

    async def create(
        self, url: URL, **kwargs: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        tls = kwargs.pop("ssl_context_provider")
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.create_connection(
                lambda: protocol,
                url.host or "",
                url.port or 0,
                ssl=await tls.get_context() if url.scheme == "amqps" else None,
                **kwargs,
            )
        except OSError as error:
            raise AMQPConnectionError(*error.args) from error
        return reader, _GatheringWriter(transport, protocol, reader, loop)


class _GatheringWriter(asyncio.StreamWriter):
    def __init__(
        self,
        transport: asyncio.WriteTransport,
        protocol: asyncio.BaseProtocol,
        reader: asyncio.StreamReader,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(transport, protocol, reader, loop)
        self._call_soon = loop.call_soon
        self._gathered: list[_Data] = []

    def write(self, data: _Data) -> None:
        if not self._gathered:
            self._call_soon(self._flush)
        self._gathered.append(data)

    def writelines(self, data: Iterable[_Data]) -> None:
        for part in data:
            self.write(part)

    def write_eof(self) -> None:
        self._flush()
        super().write_eof()

    def close(self) -> None:
        self._flush()
        super().close()

    def _flush(self) -> None:
        gathered, self._gathered = self._gathered, []
        if gathered and not self.transport.is_closing():
            self.transport.write(b"".join(gathered))
