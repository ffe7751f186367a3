"""Answers of agents as results of calls, and arguments as tasks."""

from __future__ import annotations

import pytest
from pydantic import JsonValue, ValidationError

from services.gateway.access.caller import OPEN, Caller
from services.gateway.mcp.tools import INPUT_SCHEMA, AgentTools, Arguments
from shared.contract.messages import MAX_BODY_BYTES, Response, Status
from shared.definitions.model import Definition

CITY: dict[str, JsonValue] = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = AgentTools(
    ["alice", "form", "list", "broken"],
    {
        "alice": Definition(name="alice", description="Manages Bob."),
        "form": Definition(name="form", output=CITY),
        "list": Definition(name="list", output={"type": "array"}),
    },
)


def response(
    agent: str, status: Status, content: str = "Text.", data: JsonValue = None
) -> Response:
    return Response(task_id="t1", agent=agent, status=status, content=content, data=data)


def test_the_tools_are_the_agents_of_the_key_with_a_description_and_the_schema_of_an_object() -> (
    None
):
    found = {it.name: it for it in TOOLS.offered(OPEN)}
    assert list(found) == ["alice", "broken", "form", "list"]
    assert found["alice"].description == "Manages Bob."
    assert found["broken"].description == "The agent broken."
    assert [found[it].output_schema for it in ("alice", "form", "list")] == [None, CITY, None]
    limited = Caller("k1", "laptop", OPEN.scopes, frozenset({"form"}))
    assert [it.name for it in TOOLS.offered(limited)] == ["form"]


@pytest.mark.parametrize(
    ("status", "is_error"),
    [(it, it not in {Status.OK, Status.PARTIAL}) for it in Status],
)
def test_a_run_without_an_answer_is_an_error_with_its_text(status: Status, is_error: bool) -> None:
    made = TOOLS.result(response("alice", status), "t1")
    assert made.is_error is is_error
    assert made.content[0].model_dump()["text"] == "Text."
    assert made.meta is not None
    assert made.meta["hutch/task"] == "t1"
    assert made.meta["hutch/status"] == status
    empty = TOOLS.result(response("alice", status, ""), "t1")
    assert empty.content[0].model_dump()["text"] == f"the run ended: {status}"


def test_data_is_structured_where_the_tool_has_a_schema_and_its_absence_an_error_there() -> None:
    data: dict[str, JsonValue] = {"city": "Rome"}
    made = TOOLS.result(response("form", Status.OK, '{"city": "Rome"}', data), "t1")
    assert (made.structured_content, made.is_error) == (data, False)
    without = TOOLS.result(response("form", Status.PARTIAL), "t1")
    assert (without.structured_content, without.is_error) == (None, True)
    items = TOOLS.result(response("list", Status.OK, "[1]", [1]), "t1")
    assert (items.structured_content, items.is_error) == (None, False)


def test_the_arguments_become_a_task() -> None:
    given = {"prompt": "Hello!", "context": "It is late.", "session": "c1"}
    task = Arguments.model_validate(given).task("t1")
    assert (task.id, task.content, task.context, task.session) == ("t1", *given.values())
    properties = INPUT_SCHEMA["properties"]
    assert isinstance(properties, dict)
    assert list(properties) == list(given)
    with pytest.raises(ValueError, match="more than 1024 KiB"):
        Arguments(prompt="x" * MAX_BODY_BYTES).task("t1")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"prompt": ""},
        {"prompt": 1},
        {"prompt": "x", "more": 1},
        {"prompt": "x", "session": " "},
    ],
)
def test_wrong_arguments_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Arguments.model_validate(wrong)
