"""What clients read is validated by the models of the package `openai`, strictly."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from services.gateway.openai.wire.completions import Chunks, completion
from services.gateway.openai.wire.texts import Piece, TextVersion
from shared.contract.messages import Response, Status, Usage

ID = "chatcmpl_alice_" + "0" * 32
USAGE = Usage(model_calls=1, input_tokens=7, output_tokens=5, cached_tokens=3, reasoning_tokens=2)


def answer(status: Status = Status.OK, content: str = "Hello", usage: Usage = USAGE) -> Response:
    return Response(task_id=ID, agent="alice", status=status, content=content, usage=usage)


def chunks(*, with_usage: bool) -> list[ChatCompletionChunk]:
    made = Chunks(ID, "alice", with_usage=with_usage)
    bodies = [
        made.first(),
        made.progress("bob is working"),
        made.text(Piece(TextVersion(1), "I ask bob.")),
        made.text(Piece(TextVersion(2), "Hel")),
        made.text(Piece(TextVersion(2), "lo")),
        *made.last(answer()),
    ]
    return [ChatCompletionChunk.model_validate(body, strict=True) for body in bodies]


def test_a_completion_has_the_answer_the_usage_and_the_agent_as_its_model() -> None:
    made = completion(ID, answer())
    assert made is not None
    read = ChatCompletion.model_validate_json(made.model_dump_json(), strict=True)
    (choice,) = read.choices
    assert (read.id, read.model, choice.message.content) == (ID, "alice", "Hello")
    assert choice.finish_reason == "stop"
    assert read.usage is not None
    assert read.usage.model_dump(exclude_none=True) == {
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (Status.OK, "stop"),
        (Status.PARTIAL, "length"),
        (Status.REFUSED, "content_filter"),
        (Status.FAILED, None),
        (Status.TIMEOUT, None),
        (Status.CANCELLED, None),
    ],
)
def test_each_status_has_a_finish_reason_or_is_an_error(status: Status, reason: str | None) -> None:
    made = completion(ID, answer(status))
    assert (made.choices[0].finish_reason if made else None) == reason


def test_a_stream_has_the_text_then_a_reason_then_the_usage_if_it_is_wanted() -> None:
    read = chunks(with_usage=True)
    texts = [choice.delta.content for chunk in read for choice in chunk.choices]
    assert texts == ["", None, "I ask bob.", "\n\nHel", "lo", None]
    reasons = [choice.finish_reason for chunk in read for choice in chunk.choices]
    assert reasons == [None, None, None, None, None, "stop"]
    assert read[-1].choices == []
    assert read[-1].usage is not None
    assert read[-1].usage.total_tokens == 12
    assert [chunk.usage for chunk in read[:-1]] == [None] * 6
    assert {chunk.id for chunk in read} == {ID}
    assert all(chunk.choices for chunk in chunks(with_usage=False))


def test_progress_is_reasoning_and_never_content() -> None:
    delta: Any = chunks(with_usage=False)[1].choices[0].delta
    assert (delta.reasoning_content, delta.content) == ("bob is working\n", None)
