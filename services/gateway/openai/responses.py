"""`/v1/responses`: a question to an agent, as a response of the Responses API."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing
from typing import Annotated

from fastapi import APIRouter, Query, Request
from sse_starlette import ServerSentEvent
from starlette.responses import Response as HttpResponse

from services.gateway.access.caller import Reader, Runner
from services.gateway.gateway import Gateway, SharedGateway
from services.gateway.openai import stored_responses as stored
from services.gateway.openai.client import STREAMED, answer, comment, event, happenings, waits
from services.gateway.openai.conversation import session_id, session_of
from services.gateway.openai.requests import ResponsesRequest
from services.gateway.openai.tasks import agent_of, task_of
from services.gateway.openai.wire.endings import ending_of, error_of
from services.gateway.openai.wire.response_events import Event, ResponseEvents
from services.gateway.openai.wire.response_objects import Conversation, ResponseObject, ended
from services.gateway.tasks.client import WaitingClient
from services.gateway.tasks.happenings import Ended, Happening, Restart, Text
from shared.contract.messages import Task

router = APIRouter(prefix="/v1", tags=["OpenAI"])

CANCELLED_S = 5.0
"""So long the answer to a cancel waits for the end of the run, which takes about a second."""

After = Annotated[int, Query(description="the `sequence_number` of the last event received")]


@router.post(
    "/responses",
    summary="Ask an agent, as a response",
    response_model=ResponseObject,
    responses=STREAMED,
)
async def create_response(
    asked: ResponsesRequest, request: Request, gateway: SharedGateway, caller: Runner
) -> ResponseObject | HttpResponse:
    """The agent's answer. With `stream`, its text comes as events while the model writes it; with
    `background`, the response comes at once, and `GET` shows how it goes on.

    A client that leaves does not cancel the run, unless it sends `X-Hutch-On-Disconnect: cancel`.
    """
    messages = asked.read(agent_of(gateway, caller, asked.model))
    session = await _session(asked, request, gateway)
    named = asked.previous_response_id or asked.session  # then the client sends what is new only
    task = await task_of(
        gateway,
        caller,
        request,
        asked,
        messages,
        session=session,
        knows=bool(session and not named),
    )
    response = _begun(asked, task)
    async with AsyncExitStack() as stack:
        client = await WaitingClient.open(
            request, caller, stack, asked.model, response.id, streams=asked.stream
        )
        await client.send(task)
        if asked.stream:
            return client.stream(_events(happenings(client), ResponseEvents(response)))
        if asked.background:
            return response.model_copy(update={"status": "queued"})
        given = await answer(client)
    if ending_of(given).finish_reason is None:
        raise error_of(given)
    return ended(response, given)


@router.get(
    "/responses/{response_id}",
    summary="Show a response, or go on with its stream",
    response_model=ResponseObject,
    responses=STREAMED,
)
async def get_response(
    response_id: str,
    request: Request,
    gateway: SharedGateway,
    caller: Reader,
    stream: bool = False,
    starting_after: After = -1,
) -> ResponseObject | HttpResponse:
    """The response as it is now. With `stream`, its events after `starting_after`, from any gateway
    and as often as the client likes."""
    found = await stored.find(gateway.store, caller, response_id)
    if not stream:
        return found.now
    async with AsyncExitStack() as stack:
        client = await WaitingClient.open(
            request, caller, stack, found.agent, response_id, streams=True
        )
        return client.stream(
            _events(happenings(client), ResponseEvents(found.begun, starting_after))
        )


@router.post("/responses/{response_id}/cancel", summary="Cancel a response")
async def cancel_response(
    response_id: str, request: Request, gateway: SharedGateway, caller: Runner
) -> ResponseObject:
    """Cancel the run and all that it has caused. A response that has ended is unchanged."""
    found = await stored.find(gateway.store, caller, response_id)
    if found.now.status not in {"queued", "in_progress"}:
        return found.now
    async with AsyncExitStack() as stack:
        client = await WaitingClient.open(request, caller, stack, found.agent, response_id)
        await client.cancel()
        await client.watch.response(CANCELLED_S)
    return (await stored.find(gateway.store, caller, response_id)).now


async def _session(asked: ResponsesRequest, request: Request, gateway: Gateway) -> str | None:
    """The session in which a response goes on; None: it begins one of its own."""
    if asked.previous_response_id is not None:
        return await stored.session_after(gateway.store, asked.previous_response_id, asked.model)
    return session_id(asked.session) if asked.session else session_of(request.headers)


def _begun(asked: ResponsesRequest, task: Task) -> ResponseObject:
    """The response object of a run that has begun, with what the client has sent."""
    return ResponseObject(
        id=task.id or "",
        created_at=int(time.time()),
        status="in_progress",
        model=asked.model,
        background=asked.background,
        conversation=Conversation(id=asked.session) if asked.session else None,
        instructions=asked.instructions,
        metadata=asked.metadata or {},
        previous_response_id=asked.previous_response_id,
        store=asked.store is not False,
    )


async def _events(
    followed: AsyncGenerator[Happening], events: ResponseEvents
) -> AsyncIterator[ServerSentEvent]:
    """The events of a response. The last one says how it has ended, or is an error."""
    try:
        for it in events.begin():
            yield _named(it)
        async with aclosing(followed):
            async for happening in followed:
                for it in _of(happening, events):
                    yield _named(it)
                for line in waits(happening):
                    yield comment(line)
    except Exception as error:  # noqa: BLE001 - a stream that just ends looks like an answer
        yield _named(events.error(error))


def _of(happening: Happening, events: ResponseEvents) -> Iterator[Event]:
    match happening:
        case Text():
            yield from events.add(happening)
        case Restart():
            events.restart(happening.turn)
        case Ended():
            yield from events.end(happening.response)


def _named(it: Event) -> ServerSentEvent:
    return event(it, str(it["type"]))
