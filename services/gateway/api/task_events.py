"""The events of a task's stream.

Each is one line of JSON. A client can go on after any event that has an `id`: the same request with
the header `Last-Event-ID` gets all that follows it, at any gateway.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from sse_starlette import ServerSentEvent

from services.gateway.problems import Problem
from services.gateway.tasks import lookup
from services.gateway.tasks.client import WaitingClient
from services.gateway.tasks.event_stream import opening
from services.gateway.tasks.happenings import (
    Draining,
    Ended,
    Happening,
    Restart,
    RunChanged,
    StepDone,
    Text,
)
from services.gateway.tasks.place import Place
from shared.errors import StoreUnavailable
from shared.store.queries.progress import TreeProgress


class _EventData(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class RunEvent(_EventData):
    """`run`: a run of the tree has begun, changed its state, process or approvals, or ended."""

    run_id: str
    agent: str
    task_id: str
    parent_id: Annotated[str | None, Field(description="id of the task that has caused it")]
    status: Annotated[str, Field(description="its state while it is open, then how it ended")]
    instance: Annotated[str | None, Field(description="the process that executes it")]
    at: datetime
    approvals: Annotated[
        list[lookup.TaskApproval], Field(description="calls of this run that need approval")
    ]


class StepEvent(_EventData):
    """`step`: a step of a run of the tree is finished; position 0 is the turn's model call."""

    run_id: str
    agent: str
    epoch: int
    turn: int
    position: int
    kind: str
    name: str
    seconds: Annotated[float | None, Field(description="how long it took, where that is known")]
    at: datetime


class TextEvent(_EventData):
    """`text`: the next piece of the model's text in this turn, for a task with `stream`."""

    turn: int
    text: str
    gap: Annotated[
        bool, Field(description="text before it was lost; the whole follows after `restart`")
    ] = False


class RestartEvent(_EventData):
    """`restart`: the text of this turn begins again; what came of it before is void."""

    turn: int
    reason: Literal["taken over", "retried", "lost"]


class ResumeEvent(_EventData):
    """`resume`: this gateway ends; connect again with `Last-Event-ID: <after>`."""

    after: str


async def task_events(client: WaitingClient, after: Place) -> AsyncGenerator[ServerSentEvent]:
    """The events of a task after a place, until its response or the end of this gateway."""
    yield opening()
    async with aclosing(client.happenings(after)) as happenings:
        async for it in happenings:
            yield await _event(client, it)


async def _event(client: WaitingClient, it: Happening) -> ServerSentEvent:
    match it:
        case RunChanged():
            return _encoded("run", RunEvent.model_validate(it), it.place)
        case StepDone():
            return _encoded("step", StepEvent.model_validate(it), it.place)
        case Text():
            return _encoded("text", TextEvent.model_validate(it))
        case Restart():
            return _encoded("restart", RestartEvent.model_validate(it))
        case Ended():
            return _encoded("response", await _answered(client, it), it.place)
        case Draining():
            return _encoded("resume", ResumeEvent(after=it.place), it.place)


async def _answered(client: WaitingClient, it: Ended) -> lookup.TaskView:
    agent, task_id = client.watch.agent, client.watch.task_id
    try:
        return await lookup.view(client.hub.gateway.store, agent, task_id, it.response)
    except (StoreUnavailable, Problem):  # a refusal, or all that can be known now
        return lookup.view_of(agent, task_id, TreeProgress(), reply=it.response)


def _encoded(name: str, data: BaseModel, place: str = "") -> ServerSentEvent:
    return ServerSentEvent(data.model_dump_json(), event=name, id=place or None, sep="\n")
