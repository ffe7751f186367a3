"""An error in one run fails that run alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from shared.contract.messages import Task, encode
from shared.definitions.model import Definition, ModelChoice
from shared.store import Store
from shared.store.queries.texts import run_texts
from shared.store.schema import RunState
from tests.support.model.endpoint import Answer, Endpoint, completion, fault
from tests.support.processes.instances import instance
from tests.support.processes.living import begun, lived
from tests.support.stores.steps import taken


async def refuse(store: Store, what: str) -> None:
    """From now on the store refuses this statement for good."""
    trigger = f"CREATE TRIGGER refuse BEFORE {what} BEGIN SELECT RAISE(ABORT, 'not here'); END"
    await store.write("", lambda db: db.execute(text(trigger)))


async def test_a_step_that_the_store_refuses_fails_its_run_alone(
    store: Store, endpoint: Endpoint
) -> None:
    run = await begun(own := instance(store))
    endpoint.script = [Answer(completion(content="Done."))]
    await refuse(store, "INSERT ON steps")
    assert (await lived(own, endpoint, run)).status == "failed"
    said = await store.read(lambda db: run_texts(db, run.run_id))
    assert "a step of the run could not be stored" in (said.response or "")
    assert said.detail == "the store refused: not here"


async def test_an_end_that_the_store_refuses_is_tried_again_later(
    store: Store, endpoint: Endpoint
) -> None:
    run = await begun(own := instance(store))
    endpoint.script = [Answer(completion(content="Done."))]
    await refuse(store, "UPDATE OF response ON runs")
    assert (await lived(own, endpoint, run)).status == RunState.DUE
    assert await taken(store) == [], "not at once"


async def test_a_message_that_this_version_cannot_read_fails_its_run(
    store: Store, endpoint: Endpoint
) -> None:
    run = await begun(own := instance(store), message='{"type": "task", "content": 7}')
    assert (await lived(own, endpoint, run)).status == "failed"
    said = await store.read(lambda db: run_texts(db, run.run_id))
    assert "could not be resumed" in (said.response or "")
    assert "content" in (said.detail or "")


async def test_a_failed_run_is_a_warning_with_its_reason(store: Store, endpoint: Endpoint) -> None:
    own = instance(store)
    endpoint.script = [Answer(completion(content=None)), Answer(completion(content=None))]
    with capture_logs() as lines:
        assert (await lived(own, endpoint, await begun(own))).status == "failed"
    (end,) = [line for line in lines if line["event"] == "run ended"]
    assert (end["log_level"], end["reason"]) == ("warning", "the model gave an empty answer twice")


@pytest.mark.parametrize("refusals", [0, 1])
async def test_a_run_is_shortened_to_the_context_of_the_file_and_of_a_refusal(
    store: Store, endpoint: Endpoint, refusals: int
) -> None:
    choice = ModelChoice(context=None if refusals else 4_000)
    own = instance(store, Definition(name="alice", model=choice))
    words = "This model's maximum context length is 4000 tokens, your messages have 10000"
    refused = fault(400, "context_length_exceeded", words)
    endpoint.script = [*[refused] * refusals, Answer(completion(content="Done."))]
    exchanges = tuple((f"task {number}", "x" * 2_000) for number in range(20))
    run = replace(await begun(own), recalled=exchanges)
    assert (await lived(own, endpoint, run)).status == "ok"
    assert len(str(endpoint.requests[-1]["messages"])) < 16_000
    said = await store.read(lambda db: run_texts(db, run.run_id))
    assert [(it.position, it.name) for it in said.steps] == [(-3, "shorten"), (0, "turn")]


@pytest.mark.parametrize("hours", [87_600_000, 10**15])
async def test_a_time_limit_beyond_every_calendar_is_only_long(
    store: Store, endpoint: Endpoint, hours: int
) -> None:
    own = instance(store)
    endpoint.script = [Answer(completion(content="Done."))]
    run = await begun(own, timeout_s=hours * 3600.0)
    assert (await lived(own, endpoint, run)).status == "ok"


async def test_the_model_of_a_delayed_run_is_told_the_time_of_its_start(
    store: Store, endpoint: Endpoint
) -> None:
    own, start = instance(store), datetime.now(UTC) + timedelta(days=2)
    endpoint.script = [Answer(completion(content="Done."))]
    message = encode(Task(id="t1", content="Do it.", not_before=start)).decode()
    assert (await lived(own, endpoint, await begun(own, message=message))).status == "ok"
    assert f"{start:%Y-%m-%d %H:%M}" in str(endpoint.requests[0]["messages"])
