"""Replies that come as a stream: whole, or none."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from pydantic import JsonValue

from services.agent.llm.chat import Completion, Request, ToolCall, User
from services.agent.llm.client import ATTEMPTS, OpenAIModel
from shared.contract.messages import Usage
from shared.definitions.model import ModelChoice
from shared.definitions.models.profiles import Wire
from shared.errors import ModelError, ModelUnavailable
from tests.support.model.endpoint import Answer, Endpoint, completion, fault

ASKED = Request([User(content="Hello")])
SSE = {"content-type": "text/event-stream; charset=utf-8"}
DONE = b"data: [DONE]\n\n"


class Reader:
    """What a reader has, and each piece that came."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.text = ""

    def __call__(self, piece: str) -> None:
        self.pieces.append(piece)
        self.text = self.text + piece if piece else ""


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
async def model(endpoint: Endpoint) -> AsyncIterator[OpenAIModel]:
    made = OpenAIModel("tiny", endpoint.url, longest_backoff_s=0)
    yield made
    await made.close()


@pytest.fixture
async def responses(endpoint: Endpoint) -> AsyncIterator[OpenAIModel]:
    made = OpenAIModel(
        "tiny", endpoint.url, longest_backoff_s=0, choice=ModelChoice(api="responses")
    )
    yield made
    await made.close()


def event(data: JsonValue) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def delta(finish: str | None = None, **fields: JsonValue) -> bytes:
    return event({"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]})


def stream(*events: bytes) -> Answer:
    return Answer(b"".join(events), headers=SSE)


HI = (delta(role="assistant", content=""), delta(content="H"), delta(content="i."))
END = delta("stop")


async def test_pieces_are_passed_on_and_the_completion_has_all_of_them(
    endpoint: Endpoint, model: OpenAIModel, reader: Reader
) -> None:
    usage = event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}})
    endpoint.script = [stream(*HI, END, usage, DONE)]
    reply = await model.complete(ASKED, reader)
    counted = Usage(model_calls=1, input_tokens=7, output_tokens=3)
    assert reply == Completion(content="Hi.", finish_reason="stop", usage=counted)
    assert reader.pieces == ["H", "i."]
    assert endpoint.requests[0]["stream"] is True
    assert endpoint.requests[0]["stream_options"] == {"include_usage": True}


async def test_without_a_reader_nothing_is_streamed(endpoint: Endpoint, model: OpenAIModel) -> None:
    endpoint.script = [Answer(completion(content="Hi."))]
    await model.complete(ASKED)
    assert endpoint.requests[0]["stream"] is False


async def test_a_reply_that_is_not_streamed_although_asked_is_passed_on_too(
    endpoint: Endpoint, model: OpenAIModel, reader: Reader
) -> None:
    endpoint.script = [Answer(completion(content="Hi."))]
    assert (await model.complete(ASKED, reader)).content == "Hi."
    assert reader.text == "Hi."


async def test_calls_are_put_together_by_index_and_by_id(
    endpoint: Endpoint, model: OpenAIModel, reader: Reader
) -> None:
    def call(index: int | None, call_id: str | None, name: str | None, arguments: str) -> bytes:
        function: JsonValue = {"name": name, "arguments": arguments}
        return delta(tool_calls=[{"index": index, "id": call_id, "function": function}])

    endpoint.script = [
        stream(
            call(0, "a", "lookup", '{"or'),
            call(0, None, None, 'der": 1}'),
            call(0, "b", "lookup", "{}"),  # another call under the same index
            call(1, "c", "search", ""),
            call(1, "", "", '{"x": 2}'),
            delta("tool_calls"),
            DONE,
        )
    ]
    assert (await model.complete(ASKED, reader)).tool_calls == (
        ToolCall(id="a", name="lookup", arguments='{"order": 1}'),
        ToolCall(id="b", name="lookup", arguments="{}"),
        ToolCall(id="c", name="search", arguments='{"x": 2}'),
    )
    assert reader.pieces == []


@pytest.mark.parametrize("again", [None, "a"])
async def test_the_parts_of_a_call_without_an_index_are_one_call(
    endpoint: Endpoint, model: OpenAIModel, reader: Reader, again: str | None
) -> None:
    def part(call_id: str | None, **function: JsonValue) -> bytes:
        return delta(tool_calls=[{"id": call_id, "function": function}])

    endpoint.script = [
        stream(
            part("a", name="lookup", arguments=""),
            part(again, arguments='{"or'),
            part(again, arguments='der": 1}'),
            part("b", name="lookup", arguments="{}"),
            delta("tool_calls"),
            DONE,
        )
    ]
    assert (await model.complete(ASKED, reader)).tool_calls == (
        ToolCall(id="a", name="lookup", arguments='{"order": 1}'),
        ToolCall(id="b", name="lookup", arguments="{}"),
    )


async def test_a_stream_with_very_many_parts_is_refused(
    endpoint: Endpoint, model: OpenAIModel, reader: Reader
) -> None:
    endpoint.script = [stream(delta(tool_calls=[]), delta(tool_calls=[{}] * 1001), DONE)]
    with pytest.raises(ModelError, match="more than 1,000 parts"):
        await model.complete(ASKED, reader)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param((*HI, DONE), id="no finish reason"),
        pytest.param(HI, id="neither finish reason nor end"),
        pytest.param((*HI, END[:30]), id="cut in the middle of an event"),
        pytest.param((*HI, event({"error": {"message": "x"}}), DONE), id="an error event"),
        pytest.param((*HI, b'{"error": {"message": "x"}}\n\n'), id="an error without an event"),
        pytest.param((*HI, delta("error"), DONE), id="a finish reason that is an error"),
        pytest.param((), id="nothing"),
    ],
)
async def test_an_incomplete_stream_is_retried(
    endpoint: Endpoint, model: OpenAIModel, reader: Reader, events: tuple[bytes, ...]
) -> None:
    endpoint.script = [stream(*events), stream(*HI, END, DONE)]
    assert (await model.complete(ASKED, reader)).content == "Hi."
    assert reader.text == "Hi."
    void = [""] if events else []
    assert reader.pieces == [*["H", "i."] * bool(events), *void, "H", "i."]


async def test_a_model_whose_streams_are_never_complete_is_unavailable(
    endpoint: Endpoint, model: OpenAIModel, reader: Reader
) -> None:
    endpoint.script = [stream(*HI)] * ATTEMPTS
    with pytest.raises(ModelUnavailable, match="its stream ended before its end"):
        await model.complete(ASKED, reader)


async def test_a_connection_that_ends_within_a_stream_is_tried_again(
    endpoint: Endpoint, model: OpenAIModel, reader: Reader
) -> None:
    cut = Answer(b"".join(HI), headers=SSE | {"content-length": "10000"})
    endpoint.script = [cut, stream(*HI, END, DONE)]
    assert (await model.complete(ASKED, reader)).content == "Hi."
    assert reader.text == "Hi."


async def test_an_error_in_a_stream_that_lasts_is_raised_at_once(
    endpoint: Endpoint, model: OpenAIModel, reader: Reader
) -> None:
    endpoint.script = [stream(*HI, event({"error": {"code": 400, "message": "no"}}))]
    with pytest.raises(ModelError, match="no"):
        await model.complete(ASKED, reader)
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    "odd",
    [
        b": keep-alive\n\n",
        b"event: message\nid: 7\nretry: 100\n",
        event({"choices": []}),
        event({"choices": None, "usage": None}),
        event({"choices": [{"delta": None}]}),
        event({"choices": ["odd"]}),
        b"\n\n",
    ],
)
async def test_comments_and_empty_events_in_a_stream_are_skipped(
    endpoint: Endpoint, model: OpenAIModel, reader: Reader, odd: bytes
) -> None:
    lines = [it.replace(b"\n", b"\r\n") for it in (odd, *HI, odd, END, DONE)]
    for answer in (stream(odd, *HI, odd, END, DONE), stream(*lines)):
        endpoint.reset().script = [answer]
        assert (await model.complete(ASKED, reader)).content == "Hi."


async def test_an_endpoint_that_refuses_stream_options_is_asked_without(
    endpoint: Endpoint, model: OpenAIModel, reader: Reader
) -> None:
    refused = fault(400, message="Unrecognized request argument supplied: stream_options")
    endpoint.script = [refused, stream(*HI, END, DONE), stream(*HI, END, DONE)]
    for _ in range(2):
        assert (await model.complete(ASKED, reader)).content == "Hi."
    assert ["stream_options" in it for it in endpoint.requests] == [True, False, False]


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        (["<think>", "Hm.", "</think>", "\n\nHi", "."], "Hi."),
        (["<th", "ink>Hm.</thi", "nk>Hi."], "Hi."),
        (["\n<think>Hm.</think> Hi."], "Hi."),
        (["<", "3 Hi."], "<3 Hi."),
        (["<th", "e> Hi."], "<the> Hi."),
        (["<th"], "<th"),
        (["Use <think> tags"], "Use <think> tags"),
    ],
)
async def test_reasoning_in_the_text_is_not_shown(
    endpoint: Endpoint, model: OpenAIModel, reader: Reader, pieces: list[str], shown: str
) -> None:
    endpoint.script = [stream(*(delta(content=it) for it in pieces), END, DONE)]
    reply = await model.complete(ASKED, reader)
    assert (reader.text, reply.text) == (shown, shown)


async def test_kept_fields_are_put_together_from_their_pieces(
    endpoint: Endpoint, model: OpenAIModel, reader: Reader
) -> None:
    extra: JsonValue = {"google": {"thought_signature": "abc"}}
    block: JsonValue = {"type": "reasoning.text", "index": 0, "text": "Let "}
    call: JsonValue = {"id": "1", "index": 0, "function": {"name": "lookup", "arguments": "{}"}}
    assert isinstance(block, dict)
    assert isinstance(call, dict)
    endpoint.script = [
        stream(
            delta(reasoning_content="Let "),
            delta(reasoning_content="me see."),
            delta(reasoning_details=[block]),
            delta(reasoning_details=[block | {"text": "me."}]),
            delta(tool_calls=[call | {"extra_content": extra}]),
            delta("tool_calls"),
        )
    ]
    kept = (await model.complete(ASKED, reader)).kept
    assert kept
    assert kept.message == {
        "reasoning_content": "Let me see.",
        "reasoning_details": [block | {"text": "Let me."}],
    }
    assert kept.calls == ({"extra_content": extra},)


# Responses

ITEM: JsonValue = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hi."}],
}
TEXT = tuple(event({"type": "response.output_text.delta", "delta": it}) for it in ("H", "i."))
ITEM_DONE = event({"type": "response.output_item.done", "item": ITEM})


def completed(kind: str = "completed", **fields: JsonValue) -> bytes:
    reply: JsonValue = {"status": kind, "output": [ITEM], **fields}
    return event({"type": f"response.{kind}", "response": reply})


async def test_text_events_are_passed_on_and_the_last_event_has_the_whole_response(
    endpoint: Endpoint, responses: OpenAIModel, reader: Reader
) -> None:
    endpoint.script = [stream(event({"type": "response.created"}), *TEXT, ITEM_DONE, completed())]
    reply = await responses.complete(ASKED, reader)
    assert (reply.content, reply.finish_reason) == ("Hi.", "stop")
    assert reader.pieces == ["H", "i."]
    assert endpoint.addresses == ["/v1/responses"]


async def test_the_items_stand_in_for_an_output_that_the_last_event_leaves_out(
    endpoint: Endpoint, responses: OpenAIModel, reader: Reader
) -> None:
    endpoint.script = [stream(*TEXT, ITEM_DONE, completed(output=[]))]
    assert (await responses.complete(ASKED, reader)).content == "Hi."


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(TEXT, id="no last event"),
        pytest.param(
            (*TEXT, event({"type": "error", "code": "server_error", "message": "x"})), id="an error"
        ),
        pytest.param(
            (*TEXT, completed("failed", error={"code": "server_error"})), id="a failed response"
        ),
        pytest.param((*TEXT, completed("failed")), id="a failed response without an error"),
    ],
)
async def test_an_incomplete_response_is_retried(
    endpoint: Endpoint, responses: OpenAIModel, reader: Reader, events: tuple[bytes, ...]
) -> None:
    endpoint.script = [stream(*events), stream(*TEXT, completed())]
    assert (await responses.complete(ASKED, reader)).content == "Hi."
    assert reader.pieces == ["H", "i.", "", "H", "i."]


@pytest.mark.parametrize("wire", ["chat", "responses"])
async def test_a_stream_that_was_not_asked_for_is_read(endpoint: Endpoint, wire: Wire) -> None:
    model = OpenAIModel("tiny", endpoint.url, longest_backoff_s=0, choice=ModelChoice(api=wire))
    events = (*HI, END, DONE) if wire == "chat" else (*TEXT, completed())
    endpoint.script = [Answer(b": hello\n\n" + b"".join(events))]
    assert (await model.complete(ASKED)).content == "Hi."
    await model.close()
