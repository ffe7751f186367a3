"""Messages of stdin passed on to a gateway that fails, or is none."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from services.cli import stdio_bridge
from shared.settings.gateway_address import GatewayAddress

Reply = tuple[int, str, bytes]
"""A status, a content type and a body."""

MODERN = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
CALL: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": "c1",
    "method": "tools/call",
    "params": {"name": "bob", "arguments": {"prompt": "Hello!"}, "_meta": MODERN},
}
RESULT: dict[str, Any] = {"jsonrpc": "2.0", "id": "c1", "result": {"content": []}}


def reply(message: object, status: int = 200) -> Reply:
    return status, "application/json", json.dumps(message).encode()


def event(*messages: object) -> Reply:
    lines = (f"event: message\r\ndata: {json.dumps(it)}\r\n\r\n" for it in messages)
    return 200, "text/event-stream", "".join(lines).encode()


def failed(status: int) -> Reply:
    error = {"code": -32603, "message": "it ends", "data": {"status": status}}
    return reply({"jsonrpc": "2.0", "id": "c1", "error": error})


@dataclass
class Gateway:
    url: str
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of each request."""


@contextmanager
def answering(*replies: Reply) -> Iterator[Gateway]:
    """A server with one reply for each request."""
    rest = iter(replies)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            gateway.headers.append({name.lower(): it for name, it in self.headers.items()})
            status, kind, body = next(rest)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Mcp-Session-Id", "s1")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        gateway = Gateway(f"http://127.0.0.1:{server.server_port}")
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield gateway
        finally:
            server.shutdown()
            serving.join()


class Program:
    """What starts the bridge: it writes to its stdin and reads its stdout."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._monkeypatch.setattr(stdio_bridge, "RETRY_S", 0.01)

    async def ask(self, url: str, *messages: bytes, further: int = 0) -> list[Any]:
        """The answer to each message, one after the other, and `further` ones; then stdin ends,
        and so does the bridge."""
        (given, stdin), (stdout, written) = os.pipe(), os.pipe()
        answers = []
        with (
            os.fdopen(given, "r", encoding="utf-8") as reading,
            os.fdopen(written, "w", encoding="utf-8") as writing,
            os.fdopen(stdout, "rb") as output,
        ):
            # Not in a fixture: pytest replaces both before the test begins.
            self._monkeypatch.setattr(sys, "stdin", reading)
            self._monkeypatch.setattr(sys, "stdout", writing)
            serving = asyncio.create_task(stdio_bridge.pass_on(GatewayAddress(url, "hk_1")))
            try:
                for message in messages:
                    os.write(stdin, message + b"\n")
                    answers.append(await asyncio.to_thread(output.readline))
                answers += [await asyncio.to_thread(output.readline) for _ in range(further)]
            finally:
                os.close(stdin)
                await serving
        return [json.loads(it) for it in answers]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(monkeypatch)


def encoded(message: object) -> bytes:
    return json.dumps(message).encode()


async def test_a_call_is_sent_again_with_one_key_until_a_gateway_answers(program: Program) -> None:
    html = (502, "text/html", b"<html>")
    with answering(html, failed(503), (200, "text/plain", b"Hello"), reply(RESULT)) as gateway:
        assert await program.ask(gateway.url, encoded(CALL)) == [RESULT]
    assert len({it["idempotency-key"] for it in gateway.headers}) == 1
    assert len(gateway.headers) == 4


async def test_a_response_that_is_cut_off_is_asked_for_again(program: Program) -> None:
    progress = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}
    with answering(event(progress), event(progress, RESULT)) as gateway:
        answers = await program.ask(gateway.url, encoded(CALL), further=2)
    assert answers == [progress, progress, RESULT]
    assert gateway.headers[0]["idempotency-key"] == gateway.headers[1]["idempotency-key"]


async def test_the_headers_say_what_the_message_says(program: Program) -> None:
    named = {**CALL, "params": {**CALL["params"], "name": "b\u00f6b"}}
    with answering(reply(RESULT), reply(RESULT)) as gateway:
        await program.ask(gateway.url, encoded(CALL), encoded(named))
    first, second = gateway.headers
    assert first["authorization"] == "Bearer hk_1"
    assert (first["mcp-protocol-version"], first["mcp-method"]) == ("2026-07-28", "tools/call")
    assert (first["mcp-name"], second["mcp-name"]) == ("bob", "=?base64?YsO2Yg==?=")


async def test_before_2026_a_session_and_a_revision_are_agreed_on_once(program: Program) -> None:
    begin = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}
    agreed = {"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": "2025-06-18"}}
    call = {"jsonrpc": "2.0", "id": "c1", "method": "tools/call", "params": {"name": "bob"}}
    with answering(event(agreed), reply(RESULT)) as gateway:
        assert await program.ask(gateway.url, encoded(begin), encoded(call)) == [agreed, RESULT]
    first, second = gateway.headers
    assert "mcp-session-id" not in first
    assert (second["mcp-session-id"], second["mcp-protocol-version"]) == ("s1", "2025-06-18")
    assert "idempotency-key" not in second, "its id in the session is the key"


async def test_after_a_while_without_a_gateway_the_program_gets_an_error(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdio_bridge, "PATIENCE_S", 0.05)
    [answer] = await program.ask("http://127.0.0.1:1", encoded(CALL))
    assert (answer["id"], answer["error"]["code"]) == ("c1", -32603)
    assert "the gateway http://127.0.0.1:1/mcp can't be reached" in answer["error"]["message"]


async def test_what_is_no_message_is_answered_so(program: Program) -> None:
    [answer] = await program.ask("http://127.0.0.1:1", b"{")
    assert (answer["id"], answer["error"]["code"]) == (None, -32700)
