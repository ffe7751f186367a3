"""Limits of bodies and clients, headers, and errors, over a real connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx2
import psutil
import pytest

from services.gateway.access import body, guard, limits
from services.gateway.access.body import BODY_BYTES, PUBLIC_BYTES
from shared.store import Store
from tests.support.brokers.waiting import until
from tests.support.guarded import Served, bearer, make_key

POST = "/api/agents/bob"
MB = 1024 * 1024


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(64 * 1024)


async def test_a_body_up_to_the_limit_arrives_whole(served: Served) -> None:
    async with served() as client:
        assert (await client.post(POST, content=bytes(BODY_BYTES))).json() == BODY_BYTES
        assert (await client.post(POST, content=chunks(10))).json() == 10 * 64 * 1024
        assert (await client.post(POST, content=bytes(BODY_BYTES + 1))).status_code == 413


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_of_100_mb_is_refused_and_never_held(served: Served, chunked: bool) -> None:
    async with served() as client:
        content = chunks(1600) if chunked else bytes(100 * MB)
        before = psutil.Process().memory_info().rss
        refused = await client.post(POST, content=content)
        assert refused.status_code == 413
        assert refused.json()["detail"] == f"the body may have {BODY_BYTES} bytes at most"
        assert psutil.Process().memory_info().rss - before < 50 * MB
        assert (await client.get("/api/me")).status_code == 200


PATIENCE_S = 60.0
"""The server closes a connection whose body it does not read; until then the client writes."""


async def test_without_a_key_no_body_is_read(served: Served, store: Store) -> None:
    await make_key(store, "laptop")
    async with served() as client:
        client.timeout = httpx2.Timeout(PATIENCE_S)
        assert (await client.post(POST, content=bytes(100 * MB))).status_code == 401
        for path in ("/login", "/nothing"):
            large = await client.post(path, content=bytes(PUBLIC_BYTES + 1))
            assert large.status_code == 413


async def test_a_body_that_comes_too_slowly_is_given_up(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "BODY_S", 0.3)
    async with served() as client:
        host, port = client.base_url.host, client.base_url.port
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(
            b"POST /api/agents/bob HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n12"
        )
        async with asyncio.timeout(5):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_a_client_that_leaves_in_the_middle_of_a_body_harms_nothing(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    async with served() as client:
        host, port = client.base_url.host, client.base_url.port
        for _ in range(20):
            _, writer = await asyncio.open_connection(host, port)
            writer.write(
                b"POST /api/agents/bob HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n12"
            )
            await writer.drain()
            writer.close()
        assert (await client.get("/api/me")).status_code == 200
    assert "Traceback" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "head",
    [
        b"GET /api/me HTTP/1.1\r\n\r\n",
        b"GET /api/me HTTP/1.0\r\n\r\n",
        b"GET /api/me HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 6000 + b"\r\n\r\n",
        b"GET /api/me HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer\r\n hk_1\r\n\r\n",
        b"GET //api/me HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /API/me HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /api/../api/me HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /%61pi/me HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://localhost/api/me HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /api/me HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 127.0.0.1\r\n"
        b"X-Forwarded-Host: localhost\r\nX-Forwarded-User: admin\r\n\r\n",
    ],
)
async def test_no_form_of_request_gets_in_without_a_key(
    served: Served, store: Store, head: bytes
) -> None:
    await make_key(store, "laptop")
    async with served() as client:
        host, port = client.base_url.host, client.base_url.port
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(head)
        async with asyncio.timeout(5):
            status = (await reader.readline()).split()[1]
        assert status in {b"400", b"401", b"404", b"413", b"422"}
        writer.close()


async def test_a_key_that_makes_too_many_requests_waits_and_others_do_not(
    served: Served, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REQUESTS_PER_MINUTE", 20)
    busy, calm = await make_key(store, "busy"), await make_key(store, "calm")
    async with served() as client:

        async def asked(key: str, times: int) -> list[httpx2.Response]:
            return [await client.get("/api/me", headers=bearer(key)) for _ in range(times)]

        assert {it.status_code for it in await asked(busy, 20)} == {200}
        (refused,) = await asked(busy, 1)
        assert refused.status_code == 429
        assert refused.json()["detail"] == "the key 'busy' may make 20 requests a minute"
        wait_s = int(refused.headers["Retry-After"])
        assert 1 <= wait_s <= 3
        assert {it.status_code for it in await asked(calm, 20)} == {200}
        await asyncio.sleep(wait_s)
        assert {it.status_code for it in await asked(busy, 1)} == {200}


async def test_a_key_has_only_so_many_streams_and_an_ended_one_makes_room(
    served: Served, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STREAMS", 3)
    key, other = await make_key(store, "laptop"), await make_key(store, "other")
    async with served() as client, AsyncExitStack() as streams:

        async def opened(key: str) -> httpx2.Response:
            stream = client.stream("GET", "/api/stream", headers=bearer(key))
            return await streams.enter_async_context(stream)

        assert [(await opened(key)).status_code for _ in range(4)] == [200, 200, 200, 429]
        assert (await opened(other)).status_code == 200
        await streams.aclose()

        async def has_room() -> bool:
            return (await opened(key)).status_code == 200

        await until(has_room)


async def test_parts_of_a_stream_arrive_as_they_are_sent(served: Served, store: Store) -> None:
    key = await make_key(store, "laptop")
    async with served() as client:
        stream = client.stream("GET", "/api/stream", headers=bearer(key))
        async with asyncio.timeout(10), stream as response:
            times = [time.monotonic() async for _, _ in _first(response.aiter_lines(), 5)]
    assert times[-1] - times[0] > 0.1


async def _first(lines: AsyncIterator[str], count: int) -> AsyncIterator[tuple[int, str]]:
    for number in range(count):
        yield number, await anext(lines)


async def test_every_response_has_the_headers_that_keep_a_page_apart(served: Served) -> None:
    async with served() as client:
        for path in ("/api/me", "/api/fault", "/api/nothing", "/nothing", "/login"):
            headers = (await client.get(path)).headers
            assert {name: headers[name] for name in guard.HEADERS} == guard.HEADERS
            assert "unsafe" not in headers["Content-Security-Policy"]
            assert not [name for name in headers if name.startswith("access-control")]
            assert headers.get("Cache-Control") == ("no-store" if "/api" in path else None)


async def test_an_unexpected_error_is_a_problem_without_its_cause(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    async with served() as client:
        response = await client.get("/api/fault")
    assert response.status_code == 500
    assert response.headers["Content-Type"] == "application/problem+json"
    assert "secret cause" not in response.text
    assert "secret cause" in "".join(capsys.readouterr())
