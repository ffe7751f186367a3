"""Tasks: sending one, waiting for it, following and cancelling it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from services.gateway.access.caller import Reader, Runner
from services.gateway.api.task_events import (
    RestartEvent,
    ResumeEvent,
    RunEvent,
    StepEvent,
    TextEvent,
    task_events,
)
from services.gateway.encoded_slash import EncodedSlashRoute
from services.gateway.problems import Problem
from services.gateway.tasks import lookup
from services.gateway.tasks.client import ON_DISCONNECT, WaitingClient
from services.gateway.tasks.event_stream import EventStream
from services.gateway.tasks.hub import SharedHub
from services.gateway.tasks.lookup import TaskView
from services.gateway.tasks.place import FORM, Place
from services.gateway.tasks.submission import SENDER, cancel, check_unused, message_id
from services.gateway.webhooks.callback import callback
from services.gateway.webhooks.destination import MOST_CHARS
from shared.contract import messages
from shared.contract.messages import AgentName, Budget, Content, Id, Task
from shared.contract.priority import Priority
from shared.contract.times import WrittenTime, delay_fault
from shared.definitions.durations import Duration

router = APIRouter(prefix="/api/tasks", tags=["tasks"], route_class=EncodedSlashRoute)

MOST_WAIT_S = 600.0
"""Proxies close a request without a response after some minutes."""

Text = Annotated[str, Field(max_length=messages.MAX_BODY_BYTES)]
"""With its limit, half of a surrogate pair is refused too: nothing could store it."""
OnDisconnect = Annotated[
    Literal["cancel"] | None,
    Header(
        alias=ON_DISCONNECT,
        description="`cancel`: the task is cancelled when the client leaves before its end; "
        "otherwise it goes on",
    ),
]
"""`WaitingClient` reads it; here it is checked and described."""
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="the same key creates the same thing once, however often it is sent",
    ),
]
_PLACE: dict[str, Any] = {"pattern": FORM}  # another text is 400
TaskId = Annotated[Id, Path(description="the task's id")]
OfAgent = Annotated[
    AgentName | None, Query(description="its agent; needed where several have a task with this id")
]
Wait = Annotated[
    float, Query(ge=0, le=MOST_WAIT_S, description="seconds to wait for the task's end")
]


class NewTask(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"agent": "alice", "content": "Hello!", "wait": 30}]},
    )

    agent: AgentName
    content: Content
    context: Annotated[Text | None, Field(description="further information for the agent")] = None
    session: Annotated[Id | None, Field(description="the conversation that it continues")] = None
    budget: Annotated[Budget | None, Field(description="the most that it may use")] = None
    timeout: Annotated[Duration, Field(description="after it, the task ends as `timeout`")] = (
        timedelta(minutes=10)
    )
    priority: Priority = Priority.INTERACTIVE
    not_before: Annotated[
        WrittenTime | None, Field(description="it starts no earlier; at most 30 days ahead")
    ] = None
    stream: Annotated[
        bool, Field(description="whether its events have the model's text as it comes")
    ] = False
    wait: Annotated[
        float, Field(ge=0, le=MOST_WAIT_S, description="seconds to wait for its end")
    ] = 0.0
    callback_url: Annotated[
        str | None,
        Field(
            max_length=MOST_CHARS,
            description="an address that gets the response as a signed webhook, at least once",
            examples=["https://example.com/hutch"],
            json_schema_extra={"format": "uri"},
        ),
    ] = None
    id: Annotated[
        Id | None,
        Field(description="its id, in place of an `Idempotency-Key`: sent twice, it is run once"),
    ] = None

    def message(self, task_id: str) -> Task:
        """The message. Raises a `Problem` for a start or a size that no task can have."""
        now = datetime.now(UTC)
        deadline = max(now, self.not_before or now) + self.timeout
        if fault := delay_fault(self.not_before, deadline, self.session):
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, fault)
        task = Task(
            id=task_id,
            content=self.content,
            context=self.context,
            session=self.session,
            budget=self.budget,
            deadline=deadline,
            priority=self.priority,
            not_before=self.not_before,
            stream=self.stream,
            sender=SENDER,
            sent_at=now,
        )
        if len(messages.encode(task)) > messages.MAX_BODY_BYTES:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"a task has at most {messages.MAX_BODY_BYTES} bytes",
            )
        return task


_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The events: "
        + " ".join((kind.__doc__ or "") for kind in (RunEvent, StepEvent, TextEvent, RestartEvent))
        + f" `response`: the task with its response; nothing follows. {ResumeEvent.__doc__}",
        "content": {"text/event-stream": {}},
    },
    204: {"description": "The response was received already."},
}


@router.post(
    "",
    response_model=TaskView,
    status_code=202,
    responses={
        200: {
            "model": TaskView,
            "description": "It has ended, or these are its events.",
            "content": {"text/event-stream": {}},
        }
    },
)
async def send_task(
    new: NewTask,
    request: Request,
    response: Response,
    hub: SharedHub,
    caller: Runner,
    idempotency_key: IdempotencyKey = None,
    on_disconnect: OnDisconnect = None,
) -> TaskView | Response:
    """Give an agent a task.

    The answer is 200 if it has ended within `wait` seconds, and 202 otherwise; the task goes on. A
    client that accepts `text/event-stream` gets the task's events instead. A repetition with the
    same id or `Idempotency-Key` gets the same task; with other content it is refused with 409.
    """
    caller.check(new.agent)
    task_id = new.id or message_id(caller, idempotency_key)
    task = new.message(task_id)
    if idempotency_key and not new.id:
        await check_unused(hub, new.agent, task_id)
    url, own = new.callback_url, hub.gateway.own
    called_back = None if url is None else callback(own, url, caller.key_id)
    streams = "text/event-stream" in request.headers.get("accept", "")
    async with AsyncExitStack() as held:
        client = await WaitingClient.open(
            request, caller, held, new.agent, task_id, streams=streams
        )
        run = await client.send(task, called_back)
        location = {"Location": lookup.path(new.agent, task_id)}
        if streams:
            return client.stream(task_events(client, Place()), location)
        reply, watch = None, client.watch
        if new.wait and not (run and run.ended_at):
            reply = await client.response(new.wait)
        response.headers.update(location)
        if reply and not lookup.is_of_run(reply, watch.run_id):  # refused: maybe another has a run
            view = await lookup.view(hub.gateway.store, new.agent, task_id, reply)
        else:
            view = lookup.view_of(new.agent, task_id, watch.found, watch.sent_at, reply)
        response.status_code = 202 if view.content is None else 200
        return view


@router.get("/{id}/events", status_code=200, response_class=EventStream, responses=_EVENTS)
async def follow_task(
    id: TaskId,
    request: Request,
    hub: SharedHub,
    caller: Reader,
    agent: OfAgent = None,
    last_event_id: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID", description="the last event received", json_schema_extra=_PLACE
        ),
    ] = None,
    after: Annotated[
        str | None, Query(description="the same, for the first request", json_schema_extra=_PLACE)
    ] = None,
    on_disconnect: OnDisconnect = None,
) -> Response:
    """Follow a task until its end, as server-sent events.

    After a lost connection, any gateway goes on behind the last event with an `id`. If the task has
    ended and its response was received, the answer is 204.
    """
    try:
        place = Place.parsed(last_event_id or after or "")
    except ValueError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from error
    known = await lookup.find(hub.gateway.store, caller, id, agent)
    run = known.run
    if run and run.ended_at and place.ended == run.epoch:
        return Response(status_code=204)
    root_id = run.root_id if run else None
    async with AsyncExitStack() as held:
        client = await WaitingClient.open(
            request, caller, held, known.agent, id, root_id=root_id, streams=True
        )
        return client.stream(task_events(client, place))


@router.get("/{id}")
async def get_task(
    id: TaskId,
    request: Request,
    hub: SharedHub,
    caller: Reader,
    agent: OfAgent = None,
    wait: Wait = 0.0,
    on_disconnect: OnDisconnect = None,
) -> TaskView:
    """A task, and its response once it has ended. With `wait`, the answer comes when it ends, or
    after so many seconds."""
    store = hub.gateway.store
    known = await lookup.find(store, caller, id, agent)
    reply = None
    if wait and not (known.run and known.run.ended_at):
        root_id = known.run.root_id if known.run else None
        async with AsyncExitStack() as held:
            client = await WaitingClient.open(
                request, caller, held, known.agent, id, root_id=root_id
            )
            reply = await client.response(wait)
    return await lookup.view(store, known.agent, id, reply)


@router.delete("/{id}", status_code=202)
async def cancel_task(
    id: TaskId, hub: SharedHub, caller: Runner, agent: OfAgent = None
) -> TaskView:
    """Cancel a task and all that it has caused. One that has ended is unchanged; with `agent`, one
    that has not arrived yet is cancelled when it arrives."""
    if agent is None:
        agent = (await lookup.find(hub.gateway.store, caller, id, None)).agent
    caller.check(agent)
    await cancel(hub, caller, agent, id)
    return await lookup.view(hub.gateway.store, agent, id)
