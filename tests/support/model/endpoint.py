"""A local HTTP endpoint with scripted answers, faults included."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from pydantic import JsonValue
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

STOP_S = 10.0


@dataclass
class Answer:
    body: JsonValue | bytes = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


def completion(**message: JsonValue) -> JsonValue:
    return {
        "choices": [{"message": {"role": "assistant", **message}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
        "model": "tiny-1",
    }


def fault(status: int, code: str | None = None, message: str = "no", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer({"error": {"message": message, "code": code, "type": code}}, status, named)


@dataclass
class Endpoint:
    """`script` holds the answers to come, the others what requests have brought."""

    script: list[Answer] = field(default_factory=list)
    requests: list[dict[str, JsonValue]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    """Path and query of each request."""
    url: str = ""

    def reset(self) -> Endpoint:
        self.script, self.requests, self.keys, self.headers = [], [], [], []
        self.addresses = []
        return self

    async def _answer(self, request: Request) -> Response:
        self.requests.append(json.loads(await request.body()))
        self.keys.append(request.headers.get("authorization"))
        self.headers.append(dict(request.headers))
        self.addresses.append(str(request.url).removeprefix(str(request.base_url).rstrip("/")))
        answer = self.script[len(self.requests) - 1]
        await asyncio.sleep(answer.delay_s)
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body)
        return Response(body, answer.status, answer.headers, media_type="application/json")

    @contextmanager
    def serving(self) -> Iterator[Endpoint]:
        """Serve in a thread, so that the server can outlive the event loop of one test."""
        with served([Route("/{path:path}", self._answer, methods=["POST"])]) as origin:
            self.url = f"{origin}/v1"
            yield self


@contextmanager
def served(routes: Sequence[Route]) -> Iterator[str]:
    """The address of a server for these routes, in a thread of its own."""
    config = uvicorn.Config(Starlette(routes=routes), lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(STOP_S)
        listener.close()
