"""The first to see a request and the last to see a response."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.access.authentication import key_of, unknown_key
from services.gateway.access.body import BODY_BYTES, PUBLIC_BYTES, read_body, replayed
from services.gateway.access.caller import OPEN, caller_with
from services.gateway.access.keys import Keys
from services.gateway.access.limits import KeyLimits
from services.gateway.problems import Problem, problem_of
from shared.settings.gateway import GatewaySettings
from shared.store import Store
from shared.store.processes.api_keys import ApiKey

GUARDED = ("/api/", "/v1/", "/mcp")
PUBLIC = frozenset({"/api/openapi.json"})

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""There are none of CORS: no other site's page reads a response."""


def install(app: FastAPI, store: Store, settings: GatewaySettings) -> None:
    """Add the guard, and `app.state.keys`."""
    app.state.keys = Keys(store, settings)
    app.add_middleware(Guard, keys=app.state.keys, limits=KeyLimits())


class _Revoked(Exception):
    """The key is revoked, so no more of the response is sent."""


class Guard:
    """Refuses requests without a valid key and bodies that are too large, counts the limits, adds
    the headers, and turns every error into a response.

    It does not wait for a response to be complete, so streams pass through. When a key is revoked,
    its streams end, and what it waits for is refused.
    """

    def __init__(self, app: ASGIApp, keys: Keys, limits: KeyLimits) -> None:
        self._app = app
        self._keys = keys
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        response = _Response(send, private=_is_guarded(scope["path"]))
        with ExitStack() as streams:
            try:
                await self._serve(request, response, streams)
            except Exception as error:  # noqa: BLE001 - the outermost frame of every request
                if response.revoked and response.started:
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                    return
                # `problem_of` logs an unexpected error.
                problem = unknown_key() if response.revoked else problem_of(error)
                if not response.started:
                    await self._refuse(request, problem, response.send)

    async def _serve(self, request: Request, response: _Response, streams: ExitStack) -> None:
        limit = PUBLIC_BYTES
        send: Send = response.send
        if _is_guarded(request.scope["path"]):
            key = await key_of(self._keys, request)
            limit = BODY_BYTES
            request.state.caller = OPEN
            if key is not None:
                self._limits.count_request(key)
                request.state.caller = caller_with(key, self._counting(key, streams))
                send = self._while_active(key, response)
        body = await read_body(request, limit)
        if body is not None:
            await self._app(request.scope, replayed(body, request.receive), send)

    def _counting(self, key: ApiKey, streams: ExitStack) -> Callable[[], None]:
        def count_stream() -> None:
            self._limits.open_stream(key)
            streams.callback(self._limits.close_stream, key)

        return count_stream

    def _while_active(self, key: ApiKey, response: _Response) -> Send:
        async def send_if_active(message: Message) -> None:
            going_on = message["type"] == "http.response.start" or message.get("more_body", False)
            if going_on and not await self._keys.still_active(key):
                response.revoked = True
                raise _Revoked
            await response.send(message)

        return send_if_active

    async def _refuse(self, request: Request, problem: Problem, send: Send) -> None:
        """Send a problem in the form that the application has for this path."""
        handle = request.app.exception_handlers[Problem]
        response = await handle(request, problem)
        await response(request.scope, request.receive, send)


class _Response:
    def __init__(self, send: Send, *, private: bool) -> None:
        self._send = send
        self._private = private
        self.started = False
        self.revoked = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if self._private:
                headers.setdefault("Cache-Control", "no-store")
        await self._send(message)


def _is_guarded(path: str) -> bool:
    return path.startswith(GUARDED) and path not in PUBLIC
