"""Reading a request's body: at most so many bytes, within so much time."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from starlette.requests import Request
from starlette.types import Message, Receive

from services.gateway.problems import Problem
from shared.contract.messages import MAX_BODY_BYTES

BODY_BYTES = 4 * MAX_BODY_BYTES
"""More than the largest message, because chat UIs send the whole conversation each time."""

PUBLIC_BYTES = 4096
"""For what is used without a key: a login."""

BODY_S = 30.0
"""4 MB in this time need 1.1 Mbit/s."""


async def read_body(request: Request, limit: int) -> bytes | None:
    """The whole body; None if the client has gone. Raises 413 for one above `limit` bytes, without
    reading it if its length is given, and 408 for one that takes more than `BODY_S`."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise _too_large(limit)
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    return None
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > limit:
                    raise _too_large(limit)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError as error:
        raise Problem(
            HTTPStatus.REQUEST_TIMEOUT,
            f"the body must arrive within {BODY_S:.0f} s",
            {"Connection": "close"},
        ) from error


def replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body first, and then what `receive` gives: the disconnection."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return first.pop() if first else await receive()

    return receive_again


def _too_large(limit: int) -> Problem:
    """The server discards the rest of the body, so that the client gets the response."""
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body may have {limit} bytes at most")
