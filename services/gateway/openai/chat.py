"""`POST /v1/chat/completions`: a question to an agent, as a chat completion."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing

from fastapi import APIRouter, Request
from sse_starlette import ServerSentEvent
from starlette.responses import Response as HttpResponse

from services.gateway.access.caller import Runner
from services.gateway.gateway import SharedGateway
from services.gateway.openai.client import STREAMED, answer, comment, event, happenings, waits
from services.gateway.openai.conversation import session_of
from services.gateway.openai.requests import ChatRequest
from services.gateway.openai.tasks import agent_of, task_of
from services.gateway.openai.wire import errors
from services.gateway.openai.wire.completions import ChatCompletion, Chunk, Chunks, completion
from services.gateway.openai.wire.endings import ending_of, error_of
from services.gateway.openai.wire.texts import StreamedText
from services.gateway.tasks.client import WaitingClient
from services.gateway.tasks.happenings import (
    Ended,
    Happening,
    Restart,
    RunChanged,
    StepDone,
    Text,
)
from shared.store.schema import RunState

PROGRESS = "x-hutch-progress"
"""With the value `reasoning`, the progress of workers and tools is sent as `reasoning_content`."""

router = APIRouter(prefix="/v1", tags=["OpenAI"])


@router.post(
    "/chat/completions",
    summary="Ask an agent, as a chat completion",
    response_model=ChatCompletion,
    responses=STREAMED,
)
async def create_completion(
    asked: ChatRequest, request: Request, gateway: SharedGateway, caller: Runner
) -> ChatCompletion | HttpResponse:
    """The agent's answer. With `stream`, its text comes as chunks while the model writes it.

    A client that leaves does not cancel the run, unless it sends `X-Hutch-On-Disconnect: cancel`.
    """
    messages = asked.read(agent_of(gateway, caller, asked.model))
    session = session_of(request.headers)
    task = await task_of(
        gateway, caller, request, asked, messages, session=session, knows=session is not None
    )
    task_id = task.id or ""
    async with AsyncExitStack() as stack:
        client = await WaitingClient.open(
            request, caller, stack, asked.model, task_id, streams=asked.stream
        )
        await client.send(task)
        if asked.stream:
            chunks = Chunks(task_id, asked.model, with_usage=asked.wants_usage)
            workers_of = client.watch.run_id if _wants_progress(request) else None
            return client.stream(_events(happenings(client), chunks, workers_of))
        response = await answer(client)
    made = completion(task_id, response)
    if made is None:
        raise error_of(response)
    return made


def _wants_progress(request: Request) -> bool:
    return request.headers.get(PROGRESS) == "reasoning"


async def _events(
    followed: AsyncGenerator[Happening], chunks: Chunks, workers_of: str | None
) -> AsyncIterator[ServerSentEvent]:
    """The chunks of a completion. An error is the last one, instead of a finish reason.

    With `workers_of`, the id of the run, the progress of its workers and tools is sent too.
    """
    yield event(chunks.first())
    text = StreamedText()
    try:
        async with aclosing(followed):
            async for it in followed:
                for chunk in _chunks(it, chunks, text, workers_of):
                    yield event(chunk)
                if workers_of is None:
                    for line in waits(it):
                        yield comment(line)
    except Exception as error:  # noqa: BLE001 - a stream that just ends looks like an answer
        yield event(errors.body(error).model_dump())
    yield ServerSentEvent("[DONE]", sep="\n")


def _chunks(
    happening: Happening, chunks: Chunks, text: StreamedText, workers_of: str | None
) -> Iterator[Chunk]:
    match happening:
        case Text():
            if piece := text.add(happening):
                yield chunks.text(piece)
        case Restart():
            text.restart(happening.turn)
        case RunChanged(status=RunState.PARKED) if workers_of is not None:
            for line in waits(happening):
                yield chunks.progress(line)
        case RunChanged() if workers_of not in {None, happening.run_id}:
            yield chunks.progress(f"{happening.agent}: {happening.status}")
        case StepDone(kind="tool") if workers_of is not None:
            yield chunks.progress(f"{happening.agent} has called {happening.name}")
        case Ended():
            if ending_of(happening.response).finish_reason is None:
                raise error_of(happening.response)
            if rest := text.end(happening.response.content):
                yield chunks.text(rest)
            yield from chunks.last(happening.response)
