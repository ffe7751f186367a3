"""The gateway's HTTP application."""

from __future__ import annotations

from fastapi import FastAPI

from services.gateway import problems
from services.gateway.access import guard, login
from services.gateway.api import events, tasks, triggers
from services.gateway.gateway import Gateway
from services.gateway.metrics import RequestCount
from services.gateway.tasks.hub import Hub


def application(gateway: Gateway, hub: Hub) -> FastAPI:
    app = FastAPI(
        title="Hutch",
        summary="Give tasks to agents, and see what they do.",
        version="1",
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.gateway, app.state.hub = gateway, hub
    problems.install(app)
    guard.install(app, gateway.store, gateway.own)
    app.add_middleware(RequestCount, metrics=hub.metrics)
    for it in (login, tasks, triggers, events):
        app.include_router(it.router)
    return app
