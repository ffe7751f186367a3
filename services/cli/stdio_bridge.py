"""MCP over stdin and stdout, passed on to a gateway.

A message is passed on as it is: the program and the gateway agree on the revision of MCP. A request
that finds no gateway, or loses it, is sent again, with one idempotency key.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from uuid import uuid4

import httpx2

from shared.concurrency.threads import in_thread
from shared.settings.gateway_address import GatewayAddress

Message = dict[str, object]

PATIENCE_S = 60.0
"""So long a request that finds no gateway is sent again."""
RETRY_S = 1.0
UNAVAILABLE = {429, 502, 503, 504}
"""Statuses, of a gateway or of a proxy before it, after which a request is sent again."""

SILENCE_S = 60.0
"""The gateway sends something every 15 s."""

VERSION = "io.modelcontextprotocol/protocolVersion"
"""The key of each request's `_meta` since the revision of 2026."""
SUBJECTS = ("name", "uri", "taskId")
"""The parameters of which one is also in a header, since 2026."""

PARSE_ERROR, INTERNAL_ERROR = -32700, -32603


class Unavailable(Exception):
    """The gateway can't answer now; the text says why."""


async def pass_on(gateway: GatewayAddress) -> None:
    """Pass the messages of stdin on to the gateway, and its answers to stdout, until stdin ends."""
    keys = {"Authorization": f"Bearer {gateway.key}"} if gateway.key else {}
    async with httpx2.AsyncClient(headers=keys, timeout=SILENCE_S) as http:
        await Bridge(f"{gateway.url}/mcp", http).serve()


@dataclass
class Bridge:
    url: str
    http: httpx2.AsyncClient
    _session: str = ""
    _version: str = ""
    """The revision that was agreed on; since 2026 it is in every request."""
    _requests: dict[str | int, asyncio.Task[None]] = field(default_factory=dict)
    """The open requests by their id."""

    async def serve(self) -> None:
        async with asyncio.TaskGroup() as jobs:
            while line := await in_thread(sys.stdin.buffer.readline):
                try:
                    message = json.loads(line)
                except (ValueError, RecursionError) as error:
                    _write(_failure(None, PARSE_ERROR, f"this is no JSON: {error}"))
                    continue
                if isinstance(message, dict) and not self._cancels(message):
                    job = jobs.create_task(self._pass_on(message))
                    if isinstance(id := message.get("id"), str | int):
                        self._requests[id] = job
                        job.add_done_callback(partial(self._requests.pop, id))
            for job in list(self._requests.values()):
                job.cancel()

    def _cancels(self, message: Message) -> bool:
        """Whether this was the cancel of a request, which since 2026 is the end of its response."""
        if message.get("method") != "notifications/cancelled" or self._version:
            return False
        id = _params(message).get("requestId")
        if isinstance(id, str | int) and (job := self._requests.get(id)):
            job.cancel()
        return True

    async def _pass_on(self, message: Message) -> None:
        """Send a message and write what is answered. The answer of a request is always written."""
        id, key = message.get("id"), uuid4().hex
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                async with aclosing(self._answers(message, key)) as answers:
                    async for answer in answers:
                        until = time.monotonic() + PATIENCE_S
                        _write(answer)
                return
            except Unavailable as error:
                reason = str(error)
            except httpx2.TransportError as error:
                reason = f"{type(error).__name__} {error}".strip()
            if id is None:  # no program waits for it
                return
            if time.monotonic() > until:
                sentence = f"the gateway {self.url} can't be reached: {reason}"
                _write(_failure(id, INTERNAL_ERROR, sentence))
                return
            await asyncio.sleep(RETRY_S)

    async def _answers(self, message: Message, key: str) -> AsyncGenerator[Message]:
        """The messages that answer one, the last of them its response. Raises `Unavailable`."""
        is_request = "id" in message
        async with self.http.stream(
            "POST", self.url, content=json.dumps(message), headers=self._headers(message, key)
        ) as response:
            if response.status_code in UNAVAILABLE:
                raise Unavailable(f"it answers {response.status_code}")
            if message.get("method") == "initialize":
                self._session = response.headers.get("mcp-session-id", "")
            async with aclosing(_messages(response)) as found:
                async for it in found:
                    if "method" in it:
                        yield it
                    elif is_request:
                        yield self._response(message, it)
                        return
            if is_request:
                raise Unavailable("the response has ended early")

    def _response(self, message: Message, response: Message) -> Message:
        if message.get("method") == "initialize":
            self._version = str(_part(response, "result").get("protocolVersion", ""))
        if _part(_part(response, "error"), "data").get("status") in UNAVAILABLE:
            raise Unavailable(str(_part(response, "error").get("message")))
        # An error that comes before the gateway reads the message has no id.
        return {**response, "id": message["id"]}

    def _headers(self, message: Message, key: str) -> dict[str, str]:
        headers = {
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
        }
        if self._session:
            headers["Mcp-Session-Id"] = self._session
        params = _params(message)
        version = _part(params, "_meta").get(VERSION)
        if not isinstance(version, str):
            return headers | ({"MCP-Protocol-Version": self._version} if self._version else {})
        headers |= {"MCP-Protocol-Version": version, "Mcp-Method": str(message.get("method"))}
        for name in SUBJECTS:
            if isinstance(subject := params.get(name), str):
                headers["Mcp-Name"] = _header(subject)
        return headers | {"Idempotency-Key": key}


async def _messages(response: httpx2.Response) -> AsyncGenerator[Message]:
    """The messages in a response, as events or as its body. Raises `Unavailable` for another."""
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        if body := await response.aread():
            yield _message(body)
        return
    async for event in httpx2.EventSource(response, max_event_size=None):
        if event.data:
            yield _message(event.data)


def _message(text: str | bytes) -> Message:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict) or "jsonrpc" not in message:
        raise Unavailable("what answers there is no gateway of Hutch")
    return message


def _header(text: str) -> str:
    """The text as MCP writes it in a header."""
    if text.isascii() and text.isprintable() and text == text.strip():
        return text
    return f"=?base64?{b64encode(text.encode('utf-8', 'replace')).decode()}?="


def _params(message: Message) -> Message:
    return _part(message, "params")


def _part(message: Message, name: str) -> Message:
    part = message.get(name)
    return part if isinstance(part, dict) else {}


def _failure(id: object, code: int, sentence: str) -> Message:
    return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": sentence}}


def _write(message: Message) -> None:
    sys.stdout.buffer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
    sys.stdout.buffer.flush()
