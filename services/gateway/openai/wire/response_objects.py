"""The response object of the Responses API. Strict readers of Open Responses accept it."""

from __future__ import annotations

import time
from typing import Literal

from pydantic import BaseModel, Field, JsonValue

from services.gateway.openai.wire.endings import ending_of
from shared.contract.messages import Response, Usage

ItemStatus = Literal["in_progress", "completed", "incomplete"]
ResponseStatus = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]


class OutputText(BaseModel):
    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[JsonValue] = []
    logprobs: list[JsonValue] = []


class OutputMessage(BaseModel):
    type: Literal["message"] = "message"
    id: str
    status: ItemStatus
    role: Literal["assistant"] = "assistant"
    content: list[OutputText]
    phase: Literal["commentary", "final_answer"] | None = None


class InputTokens(BaseModel):
    cached_tokens: int
    cache_write_tokens: int = 0


class OutputTokens(BaseModel):
    reasoning_tokens: int


class ResponseUsage(BaseModel):
    """The tokens of the run and of all runs that it has caused."""

    input_tokens: int
    input_tokens_details: InputTokens
    output_tokens: int
    output_tokens_details: OutputTokens
    total_tokens: int


class ResponseFault(BaseModel):
    code: Literal["server_error", "invalid_prompt"]
    message: str


class Incomplete(BaseModel):
    reason: Literal["max_output_tokens", "content_filter"]


class Conversation(BaseModel):
    id: str


class ResponseObject(BaseModel):
    """A response: what the request had, then what the run gave. Fields that a run has no use for
    have the values that OpenAI's documentation gives as defaults."""

    id: str = Field(description="the task's id")
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: ResponseStatus
    model: str = Field(description="the agent")
    background: bool = False
    conversation: Conversation | None = None
    error: ResponseFault | None = None
    frequency_penalty: float = 0.0
    incomplete_details: Incomplete | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    metadata: dict[str, str] = {}
    output: list[OutputMessage] = []
    parallel_tool_calls: bool = True
    presence_penalty: float = 0.0
    previous_response_id: str | None = None
    prompt_cache_key: str | None = None
    reasoning: dict[str, str | None] | None = None
    safety_identifier: str | None = None
    service_tier: Literal["default"] = "default"
    store: bool = True
    temperature: float = 1.0
    text: dict[str, JsonValue] = {"format": {"type": "text"}}
    tool_choice: Literal["auto", "none"] = "auto"
    tools: list[JsonValue] = []
    top_logprobs: int = 0
    top_p: float = 1.0
    truncation: Literal["auto", "disabled"] = "disabled"
    usage: ResponseUsage | None = None


def usage_of(usage: Usage) -> ResponseUsage:
    return ResponseUsage(
        input_tokens=usage.input_tokens,
        input_tokens_details=InputTokens(cached_tokens=usage.cached_tokens),
        output_tokens=usage.output_tokens,
        output_tokens_details=OutputTokens(reasoning_tokens=usage.reasoning_tokens),
        total_tokens=usage.tokens,
    )


def item_id(response_id: str, suffix: str = "") -> str:
    return f"msg_{response_id.rpartition('_')[2]}{suffix}"


def ended(begun: ResponseObject, response: Response, item: str | None = None) -> ResponseObject:
    """The response object of a run that has ended; `item` is the id of the answer's item if it was
    sent already."""
    ending = ending_of(response)
    given: dict[str, object] = {
        "status": ending.status,
        "usage": usage_of(response.usage),
        "completed_at": int(response.sent_at.timestamp() if response.sent_at else time.time()),
    }
    if ending.incomplete:
        given["incomplete_details"] = Incomplete(reason=ending.incomplete)
    if ending.status == "failed":
        code = "invalid_prompt" if ending.code == "run_refused" else "server_error"
        given["error"] = ResponseFault(code=code, message=response.content)
    elif ending.finish_reason:
        given["output"] = [message(item or item_id(begun.id), response.content, "completed")]
    return begun.model_copy(update=given)


def message(id: str, text: str, status: ItemStatus, *, final: bool = True) -> OutputMessage:
    return OutputMessage(
        id=id,
        status=status,
        content=[OutputText(text=text)],
        phase="final_answer" if final else "commentary",
    )
