"""`POST /v1/chat/completions`: a question to an agent, as a chat completion."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing

from fastapi import APIRouter, Request
from sse_starlette import ServerSentEvent
from starlette.responses import Response as HttpResponse

from services.gateway.access.caller import Runner
from services.gateway.openai import errors, streams
from services.gateway.openai.asking import Asking
from services.gateway.openai.completions import ChatCompletion, Chunk, Chunks, completion
from services.gateway.openai.conversation import session_of
from services.gateway.openai.endings import ending_of, error_of
from services.gateway.openai.models import AnyGateway
from services.gateway.openai.requests import ChatRequest
from services.gateway.openai.streams import Stack
from services.gateway.openai.tasks import agent_of, task_of
from services.gateway.openai.texts import StreamedText
from services.gateway.tasks.happenings import (
    Draining,
    Ended,
    Happening,
    Restart,
    RunChanged,
    StepDone,
    Text,
)

PROGRESS = "x-hutch-progress"
"""With the value `reasoning`, the work of workers and tools is told as `reasoning_content`."""

router = APIRouter(prefix="/v1", tags=["OpenAI"])


@router.post(
    "/chat/completions",
    summary="Ask an agent, as a chat completion",
    response_model=ChatCompletion,
    responses=streams.RESPONSES,
)
async def create_completion(
    asked: ChatRequest, request: Request, gateway: AnyGateway, caller: Runner, stack: Stack
) -> ChatCompletion | HttpResponse:
    """The agent's answer. With `stream`, its text comes as chunks while the model writes it.

    A client that leaves does not cancel the run, unless it sends `X-Hutch-On-Disconnect: cancel`.
    """
    messages = asked.read(agent_of(gateway, caller, asked.model))
    session = session_of(request.headers)
    task = await task_of(
        gateway, caller, request, "chatcmpl", asked, messages, session=session, knows=bool(session)
    )
    asking = await Asking.begin(request, gateway, caller, stack, asked.model, task)
    if not asked.stream:
        answer = await asking.answer()
        made = completion(asking.task_id, answer)
        if made is None:
            raise error_of(answer)
        return made
    options = asked.stream_options
    chunks = Chunks(
        asking.task_id, asked.model, with_usage=options is not None and options.include_usage
    )
    progress = request.headers.get(PROGRESS) == "reasoning"
    return asking.stream(_events(asking.happenings(), chunks, asking.run_id, progress=progress))


async def _events(
    happenings: AsyncGenerator[Happening], chunks: Chunks, run_id: str, *, progress: bool
) -> AsyncIterator[ServerSentEvent]:
    """The chunks of a completion. An error is the last one, instead of a finish reason."""
    yield streams.event(chunks.first())
    text = StreamedText()
    try:
        async with aclosing(happenings):
            async for it in happenings:
                for chunk in _chunks(it, chunks, text, run_id if progress else None):
                    yield streams.event(chunk)
    except Exception as error:  # noqa: BLE001 - a stream that just ends looks like an answer
        yield streams.event(errors.body(error))
    yield ServerSentEvent("[DONE]", sep="\n")


def _chunks(
    happening: Happening, chunks: Chunks, text: StreamedText, run_id: str | None
) -> Iterator[Chunk]:
    """The chunks of one happening. With the id of the run, its workers' progress is told too."""
    match happening:
        case Text() if piece := text.add(happening):
            yield chunks.text(piece)
        case Restart():
            text.restart(happening.turn)
        case RunChanged() if run_id not in {None, happening.run_id}:
            yield chunks.progress(f"{happening.agent}: {happening.status}")
        case StepDone(kind="tool") if run_id is not None:
            yield chunks.progress(f"{happening.agent} has called {happening.name}")
        case Draining():
            raise streams.draining()
        case Ended(response=response):
            if ending_of(response).finish_reason is None:
                raise error_of(response)
            if rest := text.end(response.content):
                yield chunks.text(rest)
            yield from chunks.last(response)
