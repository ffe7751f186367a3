from __future__ import annotations

import asyncio

import pytest
from aiormq.exceptions import AMQPConnectionError
from yarl import URL

from shared.broker.transport import GatheringTransport


async def opened(port: int) -> asyncio.StreamWriter:
    url = URL.build(scheme="amqp", host="127.0.0.1", port=port)
    _, writer = await GatheringTransport().create(url, ssl_context_provider=None)
    return writer


@pytest.mark.parametrize("end", ["close", "write_eof"])
async def test_all_that_is_written_before_the_end_arrives_in_order(end: str) -> None:
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.put_nowait(await reader.read())
        writer.close()

    async with await asyncio.start_server(receive, "127.0.0.1", 0) as server:
        writer = await opened(server.sockets[0].getsockname()[1])
        for part in (b"one ", b"two ", b"three"):
            writer.write(part)
        getattr(writer, end)()
        assert await asyncio.wait_for(received.get(), 60) == b"one two three"
        writer.close()


async def test_a_refused_connection_is_an_error_of_the_client() -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    with pytest.raises(AMQPConnectionError):
        await opened(port)
