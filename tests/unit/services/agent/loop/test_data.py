"""Answers with a schema: what the model is shown, and what becomes of what it says."""

from __future__ import annotations

import json
import time
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, JsonValue

from services.agent.llm.chat import Assistant, User
from services.agent.loop.data import MOST_CHARS, AnswerData
from services.agent.loop.journal import MemoryJournal
from services.agent.loop.loop import CONCLUDE
from services.agent.loop.tool_calls import WorkerSpec
from shared.contract.messages import Budget, Status, Task
from shared.definitions.functions import JsonObject
from shared.definitions.models.narrowing import narrowed
from tests.support.model.doubles import ScriptedModel, calls, says
from tests.support.model.loop import BOB, ScriptedLoop, scripted_loop, work

REPORT: JsonObject = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "minLength": 3},
        "total": {"type": "number"},
        "note": {"type": "string"},
    },
    "required": ["title", "total"],
}
GOOD, BAD = '{"title": "May", "total": 3.5}', '{"title": "May", "total": "much"}'
FAULT = "total: 'much' is not of type 'number'"


async def test_a_valid_answer_is_data_and_its_json_is_the_content() -> None:
    it = scripted_loop(says(f"Here it is:\n```json\n{GOOD}\n```\nAnything else?"))
    outcome = await it.run(work(output=REPORT))
    assert (outcome.status, outcome.data) == (Status.OK, {"title": "May", "total": 3.5})
    assert json.loads(outcome.content) == outcome.data
    assert it.model.schemas == [narrowed(REPORT).schema]


class Text(BaseModel):
    kind: Literal["text"]
    text: str
    size: int = 10


class Row(BaseModel):
    kind: Literal["row"]
    parts: list[Part]


class Column(BaseModel):
    kind: Literal["column"]
    parts: list[Part]


Part = Annotated[Text | Row | Column, Field(discriminator="kind")]


@pytest.mark.parametrize(
    ("inner", "valid"),
    [
        ({"kind": "text", "text": "Hi."}, True),
        ({"kind": "text", "text": "Hi.", "size": None}, True),
        ({"kind": "text"}, False),
        ({"kind": "picture"}, False),
    ],
)
def test_an_answer_by_a_recursive_schema_is_checked_in_a_time_by_its_length(
    inner: dict[str, JsonValue], valid: bool
) -> None:
    """In an event loop, where each level must not take a multiple of the time of the one above."""
    answers = AnswerData(Row.model_json_schema())

    def seconds(depth: int) -> float:
        value: JsonValue = inner
        for level in range(depth):
            value = {"kind": ("row", "column")[level % 2], "parts": [value]}
        if not depth % 2:
            value = {"kind": "row", "parts": [value]}
        text = json.dumps(value)
        began = time.process_time()
        _, wrong = answers.read(text)
        took = time.process_time() - began
        assert (not wrong) is valid
        return took

    def best(depth: int) -> float:
        return min(seconds(depth) for _ in range(5))

    assert best(9) < 20 * best(3), "it grows by a factor with each level"


async def test_an_agent_without_a_schema_answers_with_text() -> None:
    it = scripted_loop(says(GOOD))
    outcome = await it.run()
    assert (outcome.content, outcome.data, it.model.schemas) == (GOOD, None, [None])


async def test_the_model_is_told_the_faults_of_its_answer_and_may_correct_it() -> None:
    it = scripted_loop(calls(("bob", BOB)), says(BAD), says("No."), says(GOOD))
    outcome = await it.run(work(output=REPORT))
    assert (outcome.status, outcome.usage.model_calls) == (Status.OK, 5)
    asked = it.model.seen[2][-2:]
    assert asked[0] == Assistant(content=BAD)
    assert isinstance(asked[1], User)
    assert FAULT in asked[1].content
    assert "the answer is not JSON" in str(it.model.seen[3][-1])


async def test_after_two_corrections_the_run_fails_with_the_first_fault() -> None:
    outcome = await scripted_loop(says("No."), says(BAD), says(BAD)).run(work(output=REPORT))
    assert outcome.status is Status.FAILED
    assert outcome.content == f"the answer does not fit its schema: {FAULT}"
    assert (outcome.data, outcome.usage.model_calls) == (None, 3)


@pytest.mark.parametrize("finished", range(4))
async def test_a_resumed_run_goes_on_with_its_corrections(finished: int) -> None:
    script = [calls(("bob", BOB)), says(BAD), says(BAD), says(GOOD)]
    whole = scripted_loop(*script)
    expected = await whole.run(work(output=REPORT))
    kept = {key: step for key, step in whole.journal.steps.items() if key.turn <= finished}
    resumed = ScriptedLoop(ScriptedModel(*script[finished:]), journal=MemoryJournal(kept))
    assert await resumed.run(work(output=REPORT)) == expected
    assert resumed.model.seen[-1] == whole.model.seen[-1]


async def test_a_correction_at_the_turn_limit_is_the_conclusion() -> None:
    it = scripted_loop(says(BAD), says(GOOD))
    outcome = await it.run(work(output=REPORT, turns=1))
    assert (outcome.status, outcome.data) == (Status.PARTIAL, {"title": "May", "total": 3.5})
    correction, conclusion = it.model.seen[1][-2:]
    assert isinstance(correction, User)
    assert FAULT in correction.content
    assert conclusion == User(content=CONCLUDE)


async def test_a_conclusion_that_does_not_fit_is_a_failure() -> None:
    one = Task(content="Do it.", budget=Budget(model_calls=1))
    outcome = await scripted_loop(says(BAD)).run(work(one, output=REPORT))
    assert (outcome.status, outcome.data) == (Status.FAILED, None)


async def test_a_refusal_needs_no_form() -> None:
    outcome = await scripted_loop(says(None, refusal="I won't.")).run(work(output=REPORT))
    assert (outcome.status, outcome.content) == (Status.REFUSED, "I won't.")


def test_a_manager_sees_the_schema_of_its_worker() -> None:
    described = WorkerSpec(name="bob", description="Writes.", output=REPORT).tool.description
    text = described.removeprefix("Writes.\nIts answer is JSON with this schema: ")
    assert json.loads(text) == REPORT


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"  {GOOD}\n",
        f"```\n{GOOD}\n```",
        f"```JSON\n{GOOD}\n```",
        f"Not {{this}} but {GOOD}.",
        f"First {BAD}, no: {GOOD}",
        '{"title": "May", "total": 3.5, "note": null}',
    ],
)
def test_json_is_found_between_other_text(text: str) -> None:
    assert AnswerData(REPORT).read(text) == ({"title": "May", "total": 3.5}, [])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "not JSON"),
        ("May: 3.5", "not JSON"),
        ('{"title": "May", "total": NaN}', "not JSON"),
        ('{"title": "\\ud800", "total": 1}', "not JSON"),
        ("[" * 10_000, "not JSON"),
        ("{}", "'title' is a required property"),
        ('{"title": null, "total": 1}', "title: None is not of type 'string'"),
        ('{"title": "x", "total": 1}', "title: 'x' is too short"),
        (f'{{"title": "{"x" * MOST_CHARS}", "total": 1}}', "longer than"),
    ],
)
def test_what_does_not_fit_is_a_fault(text: str, fault: str) -> None:
    data, faults = AnswerData(REPORT).read(text)
    assert data is None
    assert fault in faults[0]


@pytest.mark.parametrize(
    ("schema", "text", "data"),
    [
        ({"type": "array", "items": {"type": "integer"}}, '{"value": [1, 2]}', [1, 2]),
        ({"type": "array", "items": {"type": "integer"}}, "[1, 2]", [1, 2]),
        ({"enum": ["yes", "no"]}, '{"value": "no"}', "no"),
        ({"$ref": "#/$defs/A", "$defs": {"A": REPORT}}, f'{{"value": {GOOD}}}', json.loads(GOOD)),
        ({"type": "array", "items": REPORT}, f'[{GOOD[:-1]}, "note": null}}]', [json.loads(GOOD)]),
        ({"anyOf": [{"type": "null"}, REPORT]}, '{"value": null}', None),
        (
            {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/A"}], "$defs": {"A": REPORT}},
            f'{{"value": {GOOD[:-1]}, "note": null}}}}',
            json.loads(GOOD),
        ),
        (
            {"type": "object", "properties": {"a": {"type": ["string", "null"]}}},
            '{"a": null}',
            {"a": None},
        ),
    ],
)
def test_the_form_that_was_sent_is_undone(schema: JsonObject, text: str, data: JsonValue) -> None:
    assert AnswerData(schema).read(text) == (data, [])
