"""Bodies that are messages, bodies that are not, and the reasons for a refusal."""

import json
import re
from datetime import UTC, datetime

import pytest

from shared.contract.messages import (
    MAX_BODY_BYTES,
    AnyMessage,
    Budget,
    Cancel,
    Response,
    Shutdown,
    Status,
    Task,
    Trigger,
    Usage,
    decode,
    encode,
    run_id,
)
from shared.contract.reply_queues import REPLY_QUEUE
from shared.errors import BadMessage


def test_the_least_a_person_can_publish_is_a_task() -> None:
    assert decode(b'{"content": "Summarise"}') == Task(content="Summarise")


@pytest.mark.parametrize("content_type", [None, "text/plain", "text/plain; charset=utf-8"])
def test_plain_text_is_a_task(content_type: str | None) -> None:
    assert decode(b" Summarise today's tickets\n", content_type) == Task(
        content="Summarise today's tickets"
    )


def test_text_with_the_content_type_of_text_may_begin_with_a_brace() -> None:
    assert decode(b"{curly}", "text/plain") == Task(content="{curly}")


@pytest.mark.parametrize(
    "message",
    [
        Task(id="a", content="x", context="y", path=("alice",)),
        Trigger(id="b", schedule="plan", nominal_at=datetime(2026, 1, 1, tzinfo=UTC)),
        Response(task_id="a", agent="bob", status=Status.OK, content="", usage=Usage()),
        Shutdown(mode="stop"),
        Cancel(task_id="a"),
    ],
)
def test_a_message_is_decoded_as_it_was_encoded(message: AnyMessage) -> None:
    assert decode(encode(message), "application/json") == message


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b'{"content": ', None, "not JSON"),
        (b"[1, 2]", "application/json", "a list, not an object"),
        (b'{"content": NaN}', None, "not JSON"),
        (b'{"content": 1}', None, "task.content: expected text"),
        (b'{"content": ""}', None, "task.content"),
        (b"   ", None, "task.content"),
        (b'{"type": "task"}', None, "task.content: the key is missing"),
        (
            b'{"type": "dance"}',
            None,
            "type: 'dance' is unknown; known: task, response, trigger, shutdown",
        ),
        (b'{"type": ["task"]}', None, "type"),
        (b'{"content": "x", "schema": 2}', None, "task.schema: expected 1"),
        (b'{"content": "x", "bugdet": 5}', None, "task.bugdet: unknown key; did you mean budget?"),
        (b'{"content": "x", "id": "two words"}', None, "task.id"),
        (b'{"content": "x", "path": ["No Agent"]}', None, "task.path.0"),
        (b'{"content": "\\ud800"}', None, "not JSON"),
        (b"\xff\xfe", None, "not UTF-8: byte 0"),
        (b"[" * 5000, "application/json", "not JSON"),
        (b"<x/>", "application/xml", "content type 'application/xml' is unknown"),
        (b"x" * (MAX_BODY_BYTES + 1), None, "at most 1048576 are taken"),
    ],
)
def test_a_body_that_is_no_message_is_refused_with_its_reason(
    body: bytes, content_type: str | None, reason: str
) -> None:
    with pytest.raises(BadMessage, match=r".") as caught:
        decode(body, content_type)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_id_is_the_same_wherever_it_is_computed_and_differs_by_agent() -> None:
    assert run_id("bob", "a") == run_id("bob", "a")
    assert run_id("bob", "a") != run_id("alice", "a")
    assert run_id("bob", "ba") != run_id("bobb", "a")


@pytest.mark.parametrize(
    ("queue", "allowed"),
    [
        ("reply.alice.1", True),
        ("amq.gen-abc", True),
        ("amq_0123456789abcdef0123456789abcdef", True),
        ("spring.gen-MRBv9sqISkuCiPfOYfpo4g", True),
        ("easynetq.response.0303b47c-2229-4557-9218-30c99c67f8c9", True),
        ("0303b47c-2229-4557-9218-30c99c67f8c9", True),
        ("amq_0123456789abcdef0123456789abcdef\n", False),
        ("amq_tasks", False),
        ("amq.topic", False),
        ("agent.0303b47c-2229-4557-9218-30c99c67f8c9", False),
        ("amq.rabbitmq.reply-to.g1h2", True),
        ("agent.bob", False),
        ("hutch.reply.", False),
    ],
)
def test_only_reply_queues_may_be_named_in_reply_to(queue: str, allowed: bool) -> None:
    assert bool(REPLY_QUEUE.match(queue)) is allowed


@pytest.mark.parametrize("agent", ["a" * 41, "Tom", "tom\nFrom harry", "tom\u0000"])
def test_the_name_of_an_answering_agent_must_be_valid(agent: str) -> None:
    """The name is in peers' notes and in the prompts that contain them."""
    body = json.dumps(
        {"type": "response", "task_id": "t", "agent": agent, "status": "ok", "content": ""}
    )
    with pytest.raises(BadMessage, match="agent"):
        decode(body.encode())


def test_a_byte_order_mark_before_a_body_is_no_part_of_it() -> None:
    task = decode(b'\xef\xbb\xbf{"content": "Write.", "id": "t1"}')
    assert isinstance(task, Task)
    assert (task.id, task.content) == ("t1", "Write.")


def test_fields_that_an_earlier_version_does_not_know_are_sent_only_where_they_are_used() -> None:
    task = Task(id="a", content="x", budget=Budget(tokens=5))
    response = Response(task_id="a", agent="bob", status=Status.OK, content="y")
    for message in (task, response):
        assert not {"stream", "cost"} & {*re.findall(r'"(\w+)":', encode(message).decode())}
    costly = task.model_copy(update={"stream": True, "budget": Budget(cost=0.0)})
    assert decode(encode(costly)) == costly
    paid = response.model_copy(update={"usage": Usage(cost=0.0)})
    assert decode(encode(paid)) == paid


@pytest.mark.parametrize("cost", ["-0.1", "1e10", "NaN"])
def test_a_cost_is_a_number_within_its_bounds(cost: str) -> None:
    with pytest.raises(BadMessage):
        decode(f'{{"content": "x", "budget": {{"cost": {cost}}}}}'.encode())
