"""The gateway's HTTP application."""

from __future__ import annotations

from fastapi import FastAPI

from services.gateway import problems
from services.gateway.access import guard, login
from services.gateway.gateway import Gateway
from services.gateway.page import files


def application(gateway: Gateway) -> FastAPI:
    app = FastAPI(
        title="Hutch",
        summary="Give tasks to agents, and see what they do.",
        version="1",
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.gateway = gateway
    problems.install(app)
    guard.install(app, gateway.store, gateway.own)
    app.include_router(login.router)
    app.include_router(files.router)
    return app
