"""What clients read is validated by the models of the package `openai`."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.responses import Response as OpenAIResponse
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from services.gateway.openai.wire.response_events import Event, ResponseEvents
from services.gateway.openai.wire.response_objects import ResponseObject
from services.gateway.tasks.happenings import Text
from shared.contract.messages import Response, Status, Usage

ID = "resp_alice_" + "0" * 32
BEGUN = ResponseObject(id=ID, created_at=1, status="in_progress", model="alice")
READER: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def answer(status: Status = Status.OK, content: str = "Hello world") -> Response:
    usage = Usage(model_calls=1, input_tokens=7, output_tokens=5)
    return Response(task_id=ID, agent="alice", status=status, content=content, usage=usage)


def events(*parts: Text | int, after: int = -1, response: Response | None = None) -> list[Event]:
    """The events of these parts of a text; a number is a turn that begins again."""
    made = ResponseEvents(BEGUN, after)
    found = list(made.begin())
    for part in parts:
        if isinstance(part, Text):
            found += made.add(part)
        else:
            made.restart(part)
    found += made.end(response or answer())
    for event in found:
        READER.validate_python(event)
    return found


def deltas(found: list[Event]) -> list[object]:
    return [it["delta"] for it in found if it["type"] == "response.output_text.delta"]


def numbers(found: list[Event]) -> list[int]:
    return [int(str(it["sequence_number"])) for it in found]


def test_the_events_come_in_the_order_of_the_documentation_and_their_numbers_rise() -> None:
    found = events(Text(1, "Hello "), Text(1, "world"))
    assert [str(it["type"]).removeprefix("response.") for it in found] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert numbers(found) == sorted(set(numbers(found)))


def test_the_last_event_has_the_answer_as_its_only_item() -> None:
    last: Any = events(Text(1, "I ask bob."), Text(2, "Hello world"))[-1]
    read = OpenAIResponse.model_validate(last["response"])
    assert (read.status, read.output_text, len(read.output)) == ("completed", "Hello world", 1)
    assert read.usage is not None
    assert read.usage.total_tokens == 12


def test_each_turn_is_an_item_and_only_the_last_one_is_the_final_answer() -> None:
    found: list[Any] = events(Text(1, "I ask bob."), Text(2, "Hello world"))
    done = [it["item"] for it in found if it["type"] == "response.output_item.done"]
    assert [it["phase"] for it in done] == ["commentary", "final_answer"]
    assert [it["content"][0]["text"] for it in done] == ["I ask bob.", "Hello world"]
    assert [it["output_index"] for it in found if "added" in it["type"]] == [0, 0, 1, 1]
    assert done[-1]["id"] == found[-1]["response"]["output"][0]["id"]


def test_a_turn_that_is_written_anew_leaves_an_incomplete_item_behind() -> None:
    found: list[Any] = events(Text(1, "Good"), 1, Text(1, "Hello world"))
    done = [it["item"] for it in found if it["type"] == "response.output_item.done"]
    assert [it["status"] for it in done] == ["incomplete", "completed"]
    assert numbers(found) == sorted(set(numbers(found)))


@pytest.mark.parametrize("cut", range(1, 17))
def test_a_client_that_comes_back_gets_exactly_what_it_has_missed(cut: int) -> None:
    """At any event, and however the text is cut into pieces the second time."""
    whole = events(Text(1, "I ask "), Text(1, "bob."), Text(2, "Hello "), Text(2, "world"))
    after = numbers(whole)[cut - 1]
    rest = events(Text(1, "I ask bob."), Text(2, "Hello world"), after=after)
    assert numbers(rest)[0] > after
    assert "".join(map(str, deltas(whole[:cut]) + deltas(rest))) == "I ask bob.Hello world"
    others = [it["type"] for it in whole[cut:] if it["type"] != "response.output_text.delta"]
    assert [it["type"] for it in rest if it["type"] != "response.output_text.delta"] == others


@pytest.mark.parametrize(
    ("status", "name", "reason"),
    [
        (Status.PARTIAL, "incomplete", "max_output_tokens"),
        (Status.REFUSED, "incomplete", "content_filter"),
        (Status.FAILED, "failed", None),
        (Status.TIMEOUT, "failed", None),
        (Status.CANCELLED, "failed", None),
    ],
)
def test_a_run_that_is_not_ok_ends_with_another_event(
    status: Status, name: str, reason: str | None
) -> None:
    last: Any = events(Text(1, "Hello"), response=answer(status))[-1]
    assert last["type"] == f"response.{name}"
    read = OpenAIResponse.model_validate(last["response"])
    assert (read.incomplete_details.reason if read.incomplete_details else None) == reason
    assert (read.error is not None) == (status in {Status.FAILED, Status.TIMEOUT})
    assert bool(read.output) == (name == "incomplete")
