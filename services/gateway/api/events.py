"""The events of agents as they happen."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sse_starlette import ServerSentEvent
from starlette.responses import Response

from services.gateway.access.caller import Reader
from services.gateway.tasks.event_stream import EventStream, opening
from services.gateway.tasks.hub import Listener, SharedHub
from shared.contract.messages import AgentName, Event

router = APIRouter(prefix="/api", tags=["events"])

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`event`: ids, names, times and counts, see docs/messages.md",
        "content": {"text/event-stream": {}},
    }
}


@router.get("/events", status_code=200, response_class=EventStream, responses=_RESPONSES)
async def follow_events(
    hub: SharedHub,
    caller: Reader,
    agent: Annotated[list[AgentName], Query(description="only these agents")] = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """The events of agents from now on, as server-sent events. They are for looking: some can be
    lost, and none is repeated."""
    caller.count_stream()
    agents = frozenset(agent)

    def wanted(event: Event) -> bool:
        return caller.sees(event.agent) and (not agents or event.agent in agents)

    async with AsyncExitStack() as held:
        listener = held.enter_context(hub.listening(wanted))
        return EventStream(_events(listener), hub.metrics, held.pop_all())


async def _events(listener: Listener) -> AsyncGenerator[ServerSentEvent]:
    yield opening()
    async for event in listener:
        yield ServerSentEvent(event.model_dump_json(exclude_none=True), event="event", sep="\n")
