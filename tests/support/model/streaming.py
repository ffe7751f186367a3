"""An endpoint that streams slowly: `python -m tests.support.model.streaming`.

The first word of each reply is the time at which it is sent, by the clock that all processes of
the machine share.
"""

from __future__ import annotations

import asyncio
import json
import re
import time

from rich.console import Console

WORDS = 50
WORD_S = 0.02
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def _chunk(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    body = {"object": "chat.completion.chunk", "model": "streaming", "choices": [choice]}
    return f"data: {json.dumps(body)}\n\n".encode()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        if length := LENGTH.search(head):
            await reader.readexactly(int(length[1]))
        writer.write(HEAD + _chunk(f"{time.monotonic()} "))
        for _ in range(WORDS):
            await writer.drain()
            await asyncio.sleep(WORD_S)
            writer.write(_chunk("word "))
        writer.write(_chunk("", "stop") + b"data: [DONE]\n\n")
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    Console(soft_wrap=True).print(f"serving http://127.0.0.1:{port}/v1")
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
