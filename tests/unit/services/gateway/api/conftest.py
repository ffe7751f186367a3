"""A real server with the routes that need no broker, beside a store of its own."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from services.gateway import problems
from services.gateway.access import guard
from services.gateway.api import approvals, runs
from services.gateway.gateway import Gateway
from shared.definitions.loader import read_folder
from shared.process.http import serving
from shared.process.stopping import Stopping
from shared.settings.environment import Settings
from shared.settings.gateway import GatewaySettings
from shared.store import Store

PRICES = '{"big": {"input": 1000, "output": 1000}}'


def application(store: Store, folder: Path) -> FastAPI:
    app = FastAPI()
    own = GatewaySettings.model_validate({"HUTCH_GATEWAY_HOST": "127.0.0.1"})
    settings = Settings.model_validate({"HUTCH_AGENTS": str(folder), "HUTCH_PRICES": PRICES})
    app.state.gateway = Gateway(
        settings,
        own,
        store,
        None,  # type: ignore[arg-type]  # no route here publishes
        read_folder(folder),
        Stopping(),
        "gateway.1",
    )
    problems.install(app)
    guard.install(app, store, own)
    app.include_router(runs.router)
    app.include_router(approvals.router)
    return app


@pytest.fixture
async def client(store: Store, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "alice.yaml").write_text("name: alice\npreamble: Be brief.\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with (
        serving(application(store, folder), "127.0.0.1", port, what="it", variables="none"),
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        yield client
