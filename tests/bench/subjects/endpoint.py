"""A chat completions endpoint that answers at once: `python -m tests.bench.subjects.endpoint`.

It reads no more of a request than its end, so that the client's cost is what is measured.
"""

from __future__ import annotations

import asyncio
import json
import re

from rich.console import Console

COMPLETION = json.dumps(
    {
        "choices": [
            {"message": {"role": "assistant", "content": "Done."}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2},
        "model": "endpoint",
    }
).encode()
REPLY = b"\r\n".join(
    [
        b"HTTP/1.1 200 OK",
        b"content-type: application/json",
        b"content-length: %d" % len(COMPLETION),
        b"",
        COMPLETION,
    ]
)
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if length := LENGTH.search(head):
                await reader.readexactly(int(length[1]))
            writer.write(REPLY)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    Console(soft_wrap=True).print(f"serving http://127.0.0.1:{port}/v1")
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
