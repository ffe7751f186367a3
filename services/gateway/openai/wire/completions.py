"""Chat completions and their chunks, as OpenAI's clients read them."""

from __future__ import annotations

import time
from typing import Literal

from pydantic import BaseModel, Field, JsonValue

from services.gateway.openai.wire.endings import ending_of
from services.gateway.openai.wire.texts import Piece, TextVersion
from shared.contract.messages import Response, Usage

Chunk = dict[str, JsonValue]


class PromptTokens(BaseModel):
    cached_tokens: int


class CompletionTokens(BaseModel):
    reasoning_tokens: int


class CompletionUsage(BaseModel):
    """The tokens of the run and of all runs that it has caused."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokens
    completion_tokens_details: CompletionTokens


class CompletionMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: str | None = None


class Choice(BaseModel):
    index: int = 0
    message: CompletionMessage
    logprobs: None = None
    finish_reason: Literal["stop", "length", "content_filter"]


class ChatCompletion(BaseModel):
    id: str = Field(description="the task's id")
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str = Field(description="the agent")
    choices: list[Choice] = Field(min_length=1, max_length=1)
    usage: CompletionUsage


def usage_of(usage: Usage) -> CompletionUsage:
    return CompletionUsage(
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.tokens,
        prompt_tokens_details=PromptTokens(cached_tokens=usage.cached_tokens),
        completion_tokens_details=CompletionTokens(reasoning_tokens=usage.reasoning_tokens),
    )


def completion(task_id: str, response: Response) -> ChatCompletion | None:
    """The completion of a run that has an answer; None without one."""
    reason = ending_of(response).finish_reason
    if reason is None:
        return None
    return ChatCompletion(
        id=task_id,
        created=int(time.time()),
        model=response.agent,
        choices=[Choice(message=CompletionMessage(content=response.content), finish_reason=reason)],
        usage=usage_of(response.usage),
    )


class Chunks:
    """The chunks of one completion."""

    def __init__(self, task_id: str, agent: str, *, with_usage: bool) -> None:
        self._with_usage = with_usage
        self._head: Chunk = {
            "id": task_id,
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": agent,
        }
        self._place: TextVersion | None = None

    def first(self) -> Chunk:
        return self._delta({"role": "assistant", "content": ""})

    def text(self, piece: Piece) -> Chunk:
        """A piece of the text. An empty line separates the texts of two turns."""
        begins = self._place is not None and piece.place != self._place
        self._place = piece.place
        return self._delta({"content": f"\n\n{piece.text}" if begins else piece.text})

    def progress(self, line: str) -> Chunk:
        return self._delta({"reasoning_content": f"{line}\n"})

    def last(self, response: Response) -> list[Chunk]:
        """The chunk with the finish reason, and the one with the usage if the client wants it."""
        chunks = [self._delta({}, ending_of(response).finish_reason)]
        if self._with_usage:
            chunks.append(
                self._head | {"choices": [], "usage": usage_of(response.usage).model_dump()}
            )
        return chunks

    def _delta(self, delta: Chunk, reason: str | None = None) -> Chunk:
        choice: Chunk = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        none: Chunk = {"usage": None} if self._with_usage else {}
        return self._head | {"choices": [choice]} | none
