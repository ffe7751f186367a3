"""A model's endpoint that answers at once: `python -m tests.bench.subjects.endpoint`.

It speaks chat completions and Responses, whole and streamed. It reads hardly more of a request
than its end, so that the client's cost is what is measured.
"""

from __future__ import annotations

import asyncio
import json
import re

from rich.console import Console

from services.scripted.responses import response
from services.scripted.streams import chunks, events

COMPLETION: dict[str, object] = {
    "id": "endpoint",
    "created": 0,
    "model": "endpoint",
    "choices": [{"message": {"role": "assistant", "content": "Done."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
}
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
STREAM = re.compile(rb'"stream": *true')


def _http(kind: str, body: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return (head + body).encode()


WHOLE = {
    "chat": _http("application/json", json.dumps(COMPLETION)),
    "responses": _http("application/json", json.dumps(response(COMPLETION))),
}
STREAMED = {
    "chat": _http("text/event-stream", "".join(chunks(COMPLETION, with_usage=True))),
    "responses": _http("text/event-stream", "".join(events(response(COMPLETION)))),
}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
            wire = "responses" if b"/responses " in head.partition(b"\r\n")[0] else "chat"
            writer.write((STREAMED if STREAM.search(body) else WHOLE)[wire])
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
