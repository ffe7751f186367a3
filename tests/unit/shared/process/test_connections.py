"""Connections to an HTTP server on which no request comes."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shared.process import connections
from shared.process.http import serving
from tests.support.brokers.waiting import free_port

HEAD_S = 0.3
SLOW_S = 4 * HEAD_S
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def _answer(request: Request) -> Response:
    await asyncio.sleep(float(request.query_params.get("s", "0")))
    return Response("Done.")


@pytest_asyncio.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(connections, "HEAD_S", HEAD_S)
    free, application = free_port(), Starlette(routes=[Route("/", _answer)])
    async with serving(application, "127.0.0.1", free, what="it", variables="none"):
        yield free


async def received(port: int, *sent: bytes, every_s: float = 0.0) -> bytes:
    """What comes until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(30):
            for part in sent:
                writer.write(part)
                await asyncio.sleep(every_s)
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"GET / HTT", GET[:-2]])
async def test_a_connection_without_a_whole_head_is_closed(port: int, sent: bytes) -> None:
    assert await received(port, sent) == b""


async def test_one_byte_after_the_other_is_not_enough(port: int) -> None:
    assert await received(port, *(bytes([it]) for it in GET), every_s=HEAD_S / 10) == b""


async def test_a_second_request_has_as_much_time_as_the_first(port: int) -> None:
    assert (await received(port, GET, GET[:5], every_s=HEAD_S / 10)).count(b"Done.") == 1


async def test_a_request_can_take_longer(port: int) -> None:
    slow = f"GET /?s={SLOW_S} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert b"Done." in await received(port, slow.encode())


async def test_connections_leave_half_of_the_files_to_the_process(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 30.0)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (20, 20))
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(10)]
    assert await received(port, GET) == b"", "the eleventh"
    opened.pop()[1].close()
    whole = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    answers = [await received(port, whole, every_s=0.1) for _ in range(5)]
    assert any(b"Done." in it for it in answers), "the server notices that one has left"
    for _, writer in opened:
        writer.close()
