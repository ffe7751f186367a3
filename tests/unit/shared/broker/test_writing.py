import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from yarl import URL

from shared.broker.writing import Gathering

PATIENCE_S = 10.0


@asynccontextmanager
async def speaking_to(
    heard: asyncio.Queue[bytes],
) -> AsyncIterator[asyncio.StreamWriter]:
    """A writer; what the other side hears first and then until the end is in the queue."""

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.put_nowait(await reader.readexactly(3))
        heard.put_nowait(await reader.read())
        writer.close()

    async with asyncio.timeout(PATIENCE_S), await asyncio.start_server(hear, "127.0.0.1", 0) as it:
        url = URL.build(scheme="amqp", host="127.0.0.1", port=it.sockets[0].getsockname()[1])
        _, writer = await Gathering("127.0.0.1").create(url, ssl_context_provider=None)
        yield writer
        writer.close()
        await writer.wait_closed()


async def test_what_was_written_arrives_in_order_at_the_turns_end_and_before_a_close() -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    async with speaking_to(heard) as writer:
        for frame in (b"a", b"b", b"c"):
            writer.write(frame)
        assert await heard.get() == b"abc"
        writer.write(b"d")
        writer.close()
        assert await heard.get() == b"d"


async def test_what_was_written_before_the_end_arrives_and_what_comes_after_is_dropped() -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    async with speaking_to(heard) as writer:
        writer.write(b"abcd")
        writer.write_eof()
        writer.write(b"late")
        assert [await heard.get(), await heard.get()] == [b"abc", b"d"]
