"""The gateway's HTTP application."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI

from services.gateway import problems
from services.gateway.access import guard, login
from services.gateway.api import (
    agents,
    commands,
    dead_letters,
    events,
    overview,
    schedules,
    system,
    tasks,
    triggers,
)
from services.gateway.gateway import Gateway
from services.gateway.metrics import RequestCount
from services.gateway.system.commands import Commands
from services.gateway.system.inspections import Inspections
from services.gateway.system.observation import Observation
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
    app.state.commands = Commands(gateway.stopping)
    app.state.dead_letters_lock = asyncio.Lock()
    app.state.observation = Observation(gateway)
    app.state.inspections = Inspections(gateway.folder, gateway.settings)
    of_tasks = (tasks, triggers, events)
    of_system = (agents, commands, dead_letters, overview, schedules, system)
    for it in (login, *of_tasks, *of_system):
        app.include_router(it.router)
    return app
