"""`/v1/responses`: a run as a response of the Responses API, in the background too."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from sse_starlette import ServerSentEvent
from starlette.responses import Response as HttpResponse

from services.gateway.access.caller import Reader, Runner
from services.gateway.openai import errors, stored, streams
from services.gateway.openai.asking import Asking
from services.gateway.openai.conversation import session_id, session_of
from services.gateway.openai.endings import ending_of, error_of
from services.gateway.openai.models import AnyGateway
from services.gateway.openai.requests import ResponsesRequest
from services.gateway.openai.response_events import Event, ResponseEvents
from services.gateway.openai.response_objects import Conversation, ResponseObject, ended
from services.gateway.openai.streams import Stack
from services.gateway.openai.tasks import agent_of, task_of
from services.gateway.tasks.happenings import Draining, Ended, Happening, Restart, Text
from shared.contract.messages import Task

router = APIRouter(prefix="/v1", tags=["OpenAI"])

After = Annotated[int, Query(description="the `sequence_number` of the last event received")]


@router.post(
    "/responses",
    summary="Ask an agent, as a response",
    response_model=ResponseObject,
    responses=streams.RESPONSES,
)
async def create_response(
    asked: ResponsesRequest, request: Request, gateway: AnyGateway, caller: Runner, stack: Stack
) -> ResponseObject | HttpResponse:
    """The agent's answer. With `stream`, its text comes as events while the model writes it; with
    `background`, the response comes at once, and `GET` tells how it goes on.

    A client that leaves does not cancel the run, unless it sends `X-Hutch-On-Disconnect: cancel`.
    """
    messages = asked.read(agent_of(gateway, caller, asked.model))
    session = session_of(request.headers)
    knows = session is not None
    if asked.previous_response_id is not None:
        session = await stored.session(gateway, asked.previous_response_id, asked.model)
        knows = False  # what the client sends is new
    elif asked.session is not None:
        session, knows = session_id(asked.session), False
    task = await task_of(
        gateway, caller, request, "resp", asked, messages, session=session, knows=knows
    )
    asking = await Asking.begin(request, gateway, caller, stack, asked.model, task)
    response = _begun(asked, task)
    if asked.stream:
        events = ResponseEvents(response)
        return asking.stream(_events(asking.happenings(), events))
    if asked.background:
        return response.model_copy(update={"status": "queued"})
    answer = await asking.answer()
    if ending_of(answer).finish_reason is None:
        raise error_of(answer)
    return ended(response, answer)


@router.get(
    "/responses/{response_id}",
    summary="Show a response, or go on with its stream",
    response_model=ResponseObject,
    responses=streams.RESPONSES,
)
async def get_response(
    response_id: str,
    request: Request,
    gateway: AnyGateway,
    caller: Reader,
    stack: Stack,
    stream: bool = False,
    starting_after: After = -1,
) -> ResponseObject | HttpResponse:
    """The response as it is now. With `stream`, its events after `starting_after`: at any gateway,
    and as often as the client likes."""
    found = await stored.response(gateway, caller, response_id)
    if not stream:
        return found.response
    asking = await Asking.resume(request, gateway, caller, stack, found.agent, response_id)
    begun = found.response.model_copy(update={"status": "in_progress", **stored.OPEN})
    return asking.stream(_events(asking.happenings(), ResponseEvents(begun, starting_after)))


@router.post("/responses/{response_id}/cancel", summary="Cancel a response")
async def cancel_response(
    response_id: str, gateway: AnyGateway, caller: Runner
) -> ResponseObject:
    """Cancel the run and all that it has caused. A response that has ended is unchanged."""
    found = await stored.response(gateway, caller, response_id)
    await stored.cancel(gateway, caller, found)
    return (await stored.response(gateway, caller, response_id)).response


def _begun(asked: ResponsesRequest, task: Task) -> ResponseObject:
    """The response object of a run that has begun, with what the client has sent."""
    named = task.session not in {None, task.id} and asked.session is not None
    return ResponseObject(
        id=task.id or "",
        created_at=int(time.time()),
        status="in_progress",
        model=asked.model,
        background=asked.background,
        conversation=Conversation(id=asked.session or "") if named else None,
        instructions=asked.instructions,
        metadata=asked.metadata or {},
        previous_response_id=asked.previous_response_id,
        store=asked.store is not False,
    )


async def _events(
    happenings: AsyncGenerator[Happening], events: ResponseEvents
) -> AsyncIterator[ServerSentEvent]:
    """The events of a response. The last one tells how it has ended, or is an error."""
    try:
        for event in events.begin():
            yield _sent(event)
        async with aclosing(happenings):
            async for it in happenings:
                for event in _of(it, events):
                    yield _sent(event)
    except Exception as error:  # noqa: BLE001 - a stream that just ends looks like an answer
        yield _sent(events.error(errors.body(error)))


def _of(happening: Happening, events: ResponseEvents) -> Iterator[Event]:
    match happening:
        case Text():
            yield from events.add(happening)
        case Restart():
            events.restart(happening.turn)
        case Draining():
            raise streams.draining()
        case Ended(response=response):
            yield from events.end(response)


def _sent(event: Event) -> ServerSentEvent:
    return streams.event(event, str(event["type"]))
