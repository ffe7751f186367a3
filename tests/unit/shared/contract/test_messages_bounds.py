"""The bounds of what a message carries: what passes can be stored, computed with and read back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from shared.contract.messages import (
    COUNT_MOST,
    HOPS_MOST,
    Event,
    Frozen,
    Response,
    Status,
    Task,
    Trigger,
    Usage,
    decode,
    encode,
)
from shared.errors import BadMessage

TASK = {"type": "task", "content": "x"}
TRIGGER = {"type": "trigger"}
RESPONSE = {"type": "response", "task_id": "t", "agent": "bob", "status": "ok", "content": ""}


@pytest.mark.parametrize(
    ("kind", "field", "value", "reason"),
    [
        (TASK, "hops", HOPS_MOST + 1, "a value of at most 1000"),
        (TASK, "hops", int("9" * 4300), "a value of at most 1000"),
        (TASK, "hops", float("1e308"), "task.hops"),
        (TASK, "hops", -1, "a value of at least 0"),
        (TASK, "budget", {"tokens": COUNT_MOST + 1}, "task.budget.tokens"),
        (TASK, "budget", {"model_calls": -1}, "task.budget.model_calls"),
        (TASK, "deadline", "0001-01-01T00:00:00+14:00", "a value of at least 0001-01-01"),
        (TASK, "deadline", "9999-12-31T23:59:59-14:00", "a value of at most 9999-12-31"),
        (TASK, "deadline", 10**30, "a time with its zone"),
        (TASK, "sent_at", "9999-12-31T23:59:59-00:01", "task.sent_at"),
        (TASK, "sender", "x" * 129, "at most 128 characters"),
        (TRIGGER, "nominal_at", "9999-12-31T23:59:59-00:01", "trigger.nominal_at"),
        (TRIGGER, "schedule", "x" * 129, "at most 128 characters"),
        (RESPONSE, "usage", {"input_tokens": -7991}, "response.usage.input_tokens"),
        (RESPONSE, "usage", {"model_calls": COUNT_MOST + 1}, "response.usage.model_calls"),
        (RESPONSE, "hops", HOPS_MOST + 1, "response.hops"),
        (RESPONSE, "model", "x" * 129, "at most 128 characters"),
        (TASK, "key\n" + "x" * 500, 1, f"task.key?{'x' * 36}: unknown key; known are"),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_its_field(
    kind: dict[str, object], field: str, value: object, reason: str
) -> None:
    with pytest.raises(BadMessage) as caught:
        decode(json.dumps(kind | {field: value}).encode())
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b'{"content": "x", "hops": 1e400}',
        b'{"content": "x", "deadline": -1e400}',
        b'{"content": "x", "hops": 1' + b"0" * 5000 + b"}",
        b'{"content": ' + b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"content": "\\ud800"}',
        b'{"content": "\\udc00\\ud800"}',
    ],
)
def test_json_that_cannot_be_read_or_stored_is_refused(body: bytes) -> None:
    with pytest.raises(BadMessage) as caught:
        decode(body)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "deadline",
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00-23:59",
        "9999-12-31T23:59:59.9999999Z",
        "9999-12-31T23:59:59+23:59",
    ],
)
def test_a_time_that_is_taken_can_be_computed_with(deadline: str) -> None:
    task = decode(json.dumps(TASK | {"deadline": deadline}).encode())
    assert task.deadline is not None
    assert (task.deadline.astimezone(UTC) - datetime.now(UTC)).total_seconds()
    assert decode(encode(task)) == task


@pytest.mark.parametrize("text", ["nul \0", "rabbit 🐇", "line \u2028", "title \x1b[2J", "\uffff"])
def test_any_text_that_json_can_carry_comes_back_as_it_was(text: str) -> None:
    task = decode(json.dumps(TASK | {"content": text, "context": text}).encode())
    assert isinstance(task, Task)
    assert (task.content, task.context) == (text, text)
    assert decode(encode(task)) == task


def test_numbers_in_other_notations_are_read_by_their_value() -> None:
    assert decode(b'{"content": "x", "hops": -0}').hops == 0
    assert decode(b'{"content": "x", "hops": 1e1}').hops == 10


def test_the_last_of_two_equal_keys_is_used() -> None:
    assert decode(b'{"content": "x", "content": "y"}') == Task(content="y")


def test_sums_of_usage_stay_within_the_bounds_of_a_message() -> None:
    most = Usage(model_calls=COUNT_MOST, input_tokens=COUNT_MOST, output_tokens=1)
    total = most + most
    assert (total.model_calls, total.output_tokens, total.tokens) == (COUNT_MOST, 2, COUNT_MOST)
    response = Response(task_id="t", agent="bob", status=Status.OK, content="", usage=total)
    assert decode(encode(response)) == response


@pytest.mark.parametrize("number", [10**400, float("inf"), COUNT_MOST + 1, -COUNT_MOST - 1])
def test_an_event_carries_no_number_that_cannot_be_printed(number: float) -> None:
    with pytest.raises(ValidationError):
        Event(
            name="run.ended",
            at=datetime.now(UTC),
            agent="bob",
            instance="bob.1",
            detail={"count": number},
        )


@pytest.mark.parametrize("kind", [Task, Trigger, Response, Event])
def test_every_number_and_time_of_the_schema_has_both_bounds(kind: type[Frozen]) -> None:
    found = list(_bounded(kind.model_json_schema()))
    assert found
    assert [keys for keys in found if not any(both <= keys for both in BOUNDS)] == []


BOUNDS = ({"minimum", "maximum"}, {"formatMinimum", "formatMaximum"}, {"const"})


def _bounded(schema: object) -> Iterator[set[str]]:
    """The keys of each part that describes a number or a time."""
    if isinstance(schema, list):
        for part in schema:
            yield from _bounded(part)
    if isinstance(schema, dict):
        if schema.get("type") in ("integer", "number") or schema.get("format") == "date-time":
            yield set(schema)
        for part in schema.values():
            yield from _bounded(part)
