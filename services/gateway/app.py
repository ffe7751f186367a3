"""The gateway's HTTP application."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware

from services.gateway import problems
from services.gateway.access import guard, login
from services.gateway.api import (
    agents,
    approvals,
    commands,
    dead_letters,
    events,
    overview,
    runs,
    schedules,
    system,
    tasks,
    triggers,
)
from services.gateway.description import describe
from services.gateway.gateway import Gateway
from services.gateway.mcp import door
from services.gateway.metrics import RequestCount
from services.gateway.openai import chat, models, responses
from services.gateway.openai.wire import errors
from services.gateway.page import files
from services.gateway.system.commands import CommandRunner
from services.gateway.system.inspections import Inspections
from services.gateway.system.observation import Observation
from services.gateway.tasks.hub import Hub

COMPRESSION = 5
"""The level of gzip; a higher one takes far longer and saves little."""
STREAMS = (*DEFAULT_EXCLUDED_CONTENT_TYPES, "application/x-ndjson")
"""Responses that must not wait for more to compress; server-sent events are among starlette's."""

OWN = (
    login,
    tasks,
    triggers,
    events,
    runs,
    agents,
    schedules,
    dead_letters,
    approvals,
    overview,
    system,
    commands,
)
"""Hutch's own API, see docs/gateway.md."""
OPENAI = (models, chat, responses)
"""OpenAI's API, see docs/openai.md."""


def routes() -> FastAPI:
    """The routes and their description, without a system behind them."""
    app = FastAPI(
        title="Hutch",
        summary="Give tasks to agents, and see what they do.",
        version="1",
        redirect_slashes=False,  # behind a proxy it would redirect to http
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/openapi.json",
        generate_unique_id_function=lambda route: route.name,
    )
    for it in OWN:
        app.include_router(it.router)
    for it in OPENAI:
        app.include_router(it.router, responses=errors.RESPONSES)
    app.include_router(door.router)
    app.include_router(files.router)
    describe(app)
    return app


def application(gateway: Gateway, hub: Hub) -> FastAPI:
    app = routes()
    app.state.gateway, app.state.hub = gateway, hub
    problems.install(app, {"/v1/": errors.response, door.PATH: door.response})
    app.add_middleware(GZipMiddleware, compresslevel=COMPRESSION, exclude_content_types=STREAMS)
    guard.install(app, gateway.store, gateway.own)
    app.add_middleware(RequestCount, metrics=hub.metrics)
    app.state.mcp = door.Door(hub)
    app.state.commands = CommandRunner(gateway.stopping)
    app.state.dead_letters_lock = asyncio.Lock()
    app.state.observation = Observation(gateway)
    app.state.inspections = Inspections(gateway.folder, gateway.settings)
    return app
