"""A real server with the gateway's guard and a few routes, beside a store of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import httpx2
import pytest
from fastapi import FastAPI, Request
from starlette.responses import StreamingResponse

from services.gateway import problems
from services.gateway.access import guard, login
from services.gateway.access.caller import Operator, Reader, Runner
from shared.process.http import serving
from shared.settings.gateway import GatewaySettings
from shared.store import Store
from shared.store.processes import api_keys
from shared.store.processes.api_keys import Scope

Served = Callable[..., AbstractAsyncContextManager[httpx2.AsyncClient]]
"""Serves with these settings; the client follows no redirect and adds no header of a browser."""


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

    @app.get("/api/stream")
    async def stream(caller: Reader) -> StreamingResponse:
        caller.count_stream()

        async def parts() -> AsyncIterator[str]:
            while True:
                yield "part\n"
                await asyncio.sleep(0.05)

        return StreamingResponse(parts(), media_type="text/event-stream")

    return app


@pytest.fixture
def served(store: Store) -> Served:
    @asynccontextmanager
    async def serve(**settings: str) -> AsyncIterator[httpx2.AsyncClient]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        given = GatewaySettings.model_validate({"HUTCH_GATEWAY_HOST": "127.0.0.1", **settings})
        app = _application(store, given)
        async with (
            serving(app, "127.0.0.1", port, what="the guard", variables="none"),
            httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", verify=False) as client,
        ):
            yield client

    return serve
