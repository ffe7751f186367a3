"""A real server with the gateway's guard and a few routes, beside a store of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import httpx2
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import StreamingResponse

from services.gateway import problems
from services.gateway.access import guard, login
from services.gateway.access.caller import Operator, Reader, Runner
from services.gateway.access.keys import CACHE_S
from shared.process.http import serving
from shared.settings.gateway import GatewaySettings
from shared.store import Store
from shared.store.processes import api_keys
from shared.store.processes.api_keys import Scope
from tests.support.brokers.waiting import free_port

Served = Callable[..., AbstractAsyncContextManager[httpx2.AsyncClient]]
"""Like `serve`, beside the test's store."""


async def make_key(store: Store, name: str, scope: Scope = Scope.RUN, *agents: str) -> str:
    key = api_keys.generate()
    await store.write("", partial(api_keys.add, key=key, name=name, scope=scope, agents=agents))
    return key


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _application(store: Store, settings: GatewaySettings) -> FastAPI:
    app = FastAPI()
    problems.install(app)
    guard.install(app, store, settings)
    app.include_router(login.router)

    @app.get("/api/read")
    def read(caller: Reader) -> str:
        return caller.name

    @app.post("/api/agents/{agent}")
    async def run(agent: str, caller: Runner, request: Request) -> int:
        caller.check(agent)
        return len(await request.body())

    @app.post("/api/operate")
    def operate(caller: Operator) -> str:
        return caller.name

    @app.get("/api/fault")
    def fault(_: Reader) -> None:
        raise RuntimeError("the secret cause")

    @app.get("/api/revoked")
    async def revoked(caller: Reader) -> str:
        """Answers after the caller's key is revoked."""
        await store.write("", partial(api_keys.revoke, name=caller.name))
        await asyncio.sleep(CACHE_S)
        return "the answer"

    @app.get("/api/stream")
    async def stream(caller: Reader) -> StreamingResponse:
        caller.count_stream()

        async def parts() -> AsyncIterator[str]:
            while True:
                yield "part\n"
                await asyncio.sleep(0.05)

        return StreamingResponse(parts(), media_type="text/event-stream")

    return app


@asynccontextmanager
async def serve(
    store: Store, routes: APIRouter | None = None, **settings: str
) -> AsyncIterator[httpx2.AsyncClient]:
    """A server with these settings, and more routes; the client adds no header of a browser."""
    app = _application(store, GatewaySettings.model_validate(settings))
    if routes is not None:
        app.include_router(routes)
    port = free_port()
    async with (
        serving(app, "127.0.0.1", port, what="the guard", variables="none"),
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", verify=False) as client,
    ):
        yield client
