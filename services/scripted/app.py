"""The HTTP endpoint: both wires, requested faults, and a log of requests that tests read."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from pydantic import ValidationError
from starlette import requests
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from services.scripted.completion import MODEL, Wire, completion, digest
from services.scripted.conversation import Conversation, Request, read
from services.scripted.directives import Fault
from services.scripted.responses import ResponsesRequest, response
from services.scripted.script import Script
from services.scripted.streams import chunks, events
from shared.errors import BadMessage
from shared.validation import first_fault

LOG_LENGTH = 2000
"""The most requests in the log; the oldest are removed first."""
LOG_TEXT = 8000
"""The most characters of each message in the log."""


@dataclass
class Entry:
    """One request. `status` is None while it is in progress, 0 if the connection was dropped."""

    at: float = field(default_factory=time.time)
    model: str = ""
    system: str = ""
    messages: list[Wire] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    limit: int | None = None
    status: int | None = None


class Log:
    """The latest requests, and the number of requests since the log was last emptied."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=LOG_LENGTH)
        self._count = 0

    def opened(self) -> Entry:
        entry = Entry()
        self._entries.append(entry)
        self._count += 1
        return entry

    def shown(self) -> Wire:
        return {"count": self._count, "requests": [asdict(entry) for entry in self._entries]}

    def clear(self) -> None:
        self._entries.clear()
        self._count = 0


class Dropped(Response):
    """A response that announces a body and sends none, so that the server closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})


class Model:
    """The endpoint's handlers, with one script, one log and the attempts of failing requests."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._log = Log()
        self._attempts: Counter[str] = Counter()

    async def complete(self, http: requests.Request) -> Response:
        return await self._answered(http, Request.model_validate_json, as_responses=False)

    async def respond(self, http: requests.Request) -> Response:
        return await self._answered(http, _responses_request, as_responses=True)

    async def _answered(
        self, http: requests.Request, parse: Callable[[bytes], Request], *, as_responses: bool
    ) -> Response:
        try:
            body = await http.body()
        except requests.ClientDisconnect:  # before its request was complete
            return Dropped()
        entry = self._log.opened()
        reply = await self._reply(body, entry, parse, as_responses=as_responses)
        entry.status = 0 if isinstance(reply, Dropped) else reply.status_code
        return reply

    async def _reply(
        self, body: bytes, entry: Entry, parse: Callable[[bytes], Request], *, as_responses: bool
    ) -> Response:
        try:
            request = parse(body)
            talk = read(request)
        except ValidationError as error:
            return _error(400, first_fault(error))
        except BadMessage as error:
            return _error(400, str(error))
        _log(entry, request, talk)
        await asyncio.sleep(talk.directives.latency_s)
        if "drop" in talk.directives.flags:
            return Dropped()
        if (fault := talk.directives.fault) and self._fails(digest(request), fault):
            return _failed(fault)
        said = completion(request, talk, self._script.line(talk))
        if as_responses:
            said = response(said)
        if not request.stream:
            return JSONResponse(said)
        with_usage = request.stream_options is not None and request.stream_options.include_usage
        parts = events(said) if as_responses else chunks(said, with_usage=with_usage)
        return StreamingResponse(parts, media_type="text/event-stream")

    def _fails(self, key: str, fault: Fault) -> bool:
        self._attempts[key] += 1
        return self._attempts[key] <= fault.times

    async def shown(self, _: requests.Request) -> Response:
        return JSONResponse(self._log.shown())

    async def forget(self, _: requests.Request) -> Response:
        self._log.clear()
        self._attempts.clear()
        return Response(status_code=204)


def application(script: Script) -> Starlette:
    model = Model(script)
    return Starlette(
        routes=[
            Route("/v1/chat/completions", model.complete, methods=["POST"]),
            Route("/v1/responses", model.respond, methods=["POST"]),
            Route("/v1/models", _models),
            Route("/live", _live),
            Route("/requests", model.shown, methods=["GET"]),
            Route("/requests", model.forget, methods=["DELETE"]),
        ]
    )


def _responses_request(body: bytes) -> Request:
    return ResponsesRequest.model_validate_json(body).as_chat()


async def _models(_: requests.Request) -> Response:
    model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "hutch"}
    return JSONResponse({"object": "list", "data": [model]})


async def _live(_: requests.Request) -> Response:
    return PlainTextResponse("ok\n")


def _log(entry: Entry, request: Request, talk: Conversation) -> None:
    entry.model = request.model
    entry.system = talk.system[:LOG_TEXT]
    entry.tools = list(talk.tools)
    entry.limit = request.limit
    entry.messages = [
        message.model_dump(exclude_none=True) | {"content": (message.content or "")[:LOG_TEXT]}
        for message in request.messages
    ]


def _failed(fault: Fault) -> Response:
    reply = _error(fault.status, f"scripted fault {fault.status}")
    if fault.retry_after_s is not None:
        reply.headers["retry-after"] = str(fault.retry_after_s)
    return reply


def _error(status: int, message: str) -> Response:
    kind = "invalid_request_error" if status == 400 else "scripted_fault"
    body = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    return JSONResponse(body, status_code=status)
