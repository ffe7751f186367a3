"""Errors that another try cures, and those that none does, as a run meets them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from pydantic import JsonValue

from services.agent.llm.chat import Request, ToolSpec, User
from services.agent.llm.client import ATTEMPTS, FEW_ATTEMPTS, OpenAIModel
from services.agent.loop.endings import reply_outcome
from shared.contract.messages import Status, Usage
from shared.errors import ContextExceeded, ModelError, ModelFault, ModelUnavailable
from tests.support.model.endpoint import Answer, Endpoint, completion, fault

TOOL = ToolSpec(name="lookup", description="Finds.", parameters={"type": "object"})
ASKED = Request([User(content="Hello")], [TOOL])
HI = Answer(completion(content="Hi."))
BROKEN_CALL = fault(400, "tool_use_failed", "Failed to call a function.")
TEMPLATE = fault(500, message="Jinja Exception: Conversation roles must alternate")


@pytest.fixture
def failures() -> list[ModelFault]:
    return []


@pytest.fixture
async def model(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, failures: list[ModelFault]
) -> AsyncIterator[OpenAIModel]:
    monkeypatch.setattr("services.agent.llm.client._backoff_s", lambda _: 0.0)
    made = OpenAIModel("tiny", endpoint.url, on_failure=failures.append)
    yield made
    await made.close()


@pytest.mark.parametrize("answer", [BROKEN_CALL, TEMPLATE], ids=["a broken call", "a template"])
async def test_a_broken_call_and_a_template_error_get_two_more_tries(
    endpoint: Endpoint, model: OpenAIModel, answer: Answer
) -> None:
    endpoint.script = [answer, answer, HI]
    assert (await model.complete(ASKED)).content == "Hi."


@pytest.mark.parametrize("answer", [BROKEN_CALL, TEMPLATE], ids=["a broken call", "a template"])
async def test_after_three_tries_the_run_fails_with_the_endpoints_words(
    endpoint: Endpoint, model: OpenAIModel, answer: Answer
) -> None:
    endpoint.script = [answer] * ATTEMPTS
    with pytest.raises(ModelError) as caught:
        await model.complete(ASKED)
    assert not isinstance(caught.value, ModelUnavailable)
    assert len(endpoint.requests) == FEW_ATTEMPTS
    assert "call a function" in str(caught.value) or "roles must alternate" in str(caught.value)


async def test_a_reply_that_ends_with_a_malformed_call_is_tried_again(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    reason = "function_call_filter: MALFORMED_FUNCTION_CALL"
    bad: JsonValue = {"choices": [{"message": {"content": None}, "finish_reason": reason}]}
    endpoint.script = [Answer(bad), HI]
    assert (await model.complete(ASKED)).content == "Hi."


async def test_a_request_that_the_content_filter_refuses_ends_the_run_as_refused(
    endpoint: Endpoint, model: OpenAIModel, failures: list[ModelFault]
) -> None:
    endpoint.script = [fault(400, "content_filter", "The response was filtered.")]
    reply = await model.complete(ASKED)
    outcome = reply_outcome(reply, nudged=False)
    assert outcome
    assert outcome.status is Status.REFUSED
    assert reply.usage == Usage(model_calls=1)
    assert failures == []


@pytest.mark.parametrize("reason", ["content_filter", "content_filter: SAFETY", "SAFETY"])
async def test_a_reply_that_the_content_filter_withheld_is_refused(
    endpoint: Endpoint, model: OpenAIModel, reason: str
) -> None:
    endpoint.script = [Answer({"choices": [{"message": {}, "finish_reason": reason}]})]
    assert (await model.complete(ASKED)).finish_reason == "content_filter"


async def test_a_request_that_is_too_long_names_the_window(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    message = "This model's maximum context length is 4096 tokens"
    endpoint.script = [fault(400, "context_length_exceeded", message)]
    with pytest.raises(ContextExceeded) as caught:
        await model.complete(ASKED)
    assert caught.value.window == 4096
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    ("tokens", "called", "finish"),
    [
        (69, True, "stop"),
        (70, True, "length"),
        (71, True, "length"),
        (69, False, "stop"),
        (70, False, "length"),
        (71, False, "stop"),
    ],
)
async def test_a_reply_as_long_as_the_limit_that_was_sent_is_one_that_was_cut_off(
    endpoint: Endpoint, model: OpenAIModel, tokens: int, called: bool, finish: str
) -> None:
    call: JsonValue = {"id": "1", "function": {"name": "lookup", "arguments": "{}"}}
    message: JsonValue = {"tool_calls": [call]} if called else {"content": "Hi."}
    one: JsonValue = {"message": message, "finish_reason": "stop"}
    endpoint.script = [Answer({"choices": [one], "usage": {"completion_tokens": tokens}})]
    reply = await model.complete(Request(ASKED.history, ASKED.tools, most_tokens=70))
    assert reply.finish_reason == finish


@pytest.mark.parametrize("reason", ["length", "model_length", "max_tokens", "MAX_TOKENS"])
async def test_every_name_for_a_cut_is_read_as_length(
    endpoint: Endpoint, model: OpenAIModel, reason: str
) -> None:
    endpoint.script = [
        Answer({"choices": [{"message": {"content": "H"}, "finish_reason": reason}]})
    ]
    assert (await model.complete(ASKED)).finish_reason == "length"


class _Server(NamedTuple):
    url: str
    requests: list[bytes]


@pytest.fixture
async def closing() -> AsyncIterator[_Server]:
    """An endpoint that closes each connection after its first answer, when the next request comes:
    as one does that has found it idle for too long.
    """
    requests: list[bytes] = []
    body = b'{"choices": [{"message": {"content": "Hi."}}]}'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(2):
            request = await reader.readuntil(b"\r\n\r\n")
            length = int(request.lower().partition(b"content-length:")[2].split()[0])
            await reader.readexactly(length)
            requests.append(request)
            if number == 0:
                writer.write(head % len(body) + body)
                await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield _Server(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", requests)


async def test_a_connection_that_the_endpoint_has_closed_meanwhile_is_no_failure(
    closing: _Server, failures: list[ModelFault]
) -> None:
    model = OpenAIModel("tiny", closing.url, on_failure=failures.append)
    for _ in range(2):
        assert (await model.complete(ASKED)).content == "Hi."
    await model.close()
    assert failures == []
    assert len(closing.requests) == 3
