"""Servers at an address: streamable HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from services.agent.tools.mcp import connection
from shared.errors import ToolError
from shared.store import Store
from tests.support.mcp.http_server import free_port
from tests.support.mcp.http_server import served as served_by_process
from tests.support.mcp.servers import call, names, servers_of
from tests.support.model.endpoint import served
from tests.support.model.loop import until

MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_WAIT_S", 0.1)
    monkeypatch.setattr(connection, "LONGEST_WAIT_S", 0.5)


async def test_a_server_that_goes_and_comes_back_is_called_again(
    store: Store, tmp_path: Path
) -> None:
    port = free_port()
    entry = {"name": "shop", "url": f"http://127.0.0.1:{port}/mcp", "allow": ["lookup"]}
    async with servers_of(store, tmp_path, entry) as servers:
        assert names(servers) == []
        async with served_by_process(port):
            await asyncio.wait_for(servers.changed.wait(), 30)
            assert names(servers) == ["shop_lookup"]
            assert await call(servers, "shop_lookup", order=7) == "order 7 is on its way"
        with pytest.raises(ToolError, match="the MCP server 'shop'"):
            await call(servers, "shop_lookup", order=8)
        async with served_by_process(port):
            assert await call(servers, "shop_lookup", order=9) == "order 9 is on its way"


async def test_a_header_comes_from_a_file_at_each_request(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, seen = tmp_path / "secret", set[str | None]()
    secret.write_text("Bearer one", "utf-8")
    monkeypatch.setenv("SHOP_AUTHORIZATION_FILE", str(secret))

    async def refuse(request: Request) -> Response:
        seen.add(request.headers.get("authorization"))
        secret.write_text("Bearer two", "utf-8")
        return Response("no", 401)

    with (
        structlog.testing.capture_logs() as logged,
        served([Route("/mcp", refuse, methods=["POST", "GET"])]) as origin,
    ):
        entry = {
            "name": "shop",
            "url": f"{origin}/mcp",
            "headers_env": {"Authorization": "SHOP_AUTHORIZATION"},
        }
        async with servers_of(store, tmp_path, entry) as servers:
            assert names(servers) == []
            await until(lambda: len(seen) == 2)
    assert seen == {"Bearer one", "Bearer two"}
    assert logged[0]["last_line"] == "it refuses the credentials (401)"
    assert "Bearer" not in str(logged)


async def test_a_missing_variable_leaves_the_agent_without_the_server(
    store: Store, tmp_path: Path
) -> None:
    entry = {"name": "shop", "url": "http://127.0.0.1:9/mcp", "headers_env": {"X-Key": "SHOP_KEY"}}
    with structlog.testing.capture_logs() as logged:
        async with servers_of(store, tmp_path, entry) as servers:
            assert names(servers) == []
    assert "neither SHOP_KEY nor SHOP_KEY_FILE is set" in logged[0]["reason"]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("one message", "it has more than 8 MiB"),
        ("an event", "SSE stream failed"),
        ("comments", "sends more than 1 MiB a second"),
        ("compressed", "it is compressed, which was not asked for"),
    ],
)
async def test_a_response_that_is_too_long_is_not_read_to_its_end(
    store: Store, tmp_path: Path, kind: str, reason: str
) -> None:
    async def flood(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"data: " if kind == "an event" else b""
            for _ in range(100):
                if not await request.is_disconnected():
                    yield b"x" * MIB if kind != "comments" else b": " + b"x" * MIB + b"\n"

        headers = {"content-encoding": "gzip"} if kind == "compressed" else {}
        events = kind in {"an event", "comments"}
        media_type = "text/event-stream" if events else "application/json"
        return StreamingResponse(body(), 200, headers, media_type)

    with (
        structlog.testing.capture_logs() as logged,
        served([Route("/mcp", flood, methods=["POST", "GET"])]) as origin,
    ):
        async with servers_of(store, tmp_path, {"name": "f", "url": f"{origin}/mcp"}) as servers:
            assert names(servers) == []
    assert reason in logged[0]["reason"]
