"""A run under a budget with a cost, with a real store and a real endpoint."""

from __future__ import annotations

import json

from pydantic import JsonValue

from shared.contract.messages import Budget, Response, Task, encode
from shared.contract.rows import response_of
from shared.prices import PriceList
from shared.settings.prices import Price
from shared.store import Store
from shared.store.queries.texts import run_texts
from shared.store.runs.run import Run
from tests.support.model.endpoint import Answer, Endpoint, completion
from tests.support.processes.instances import instance
from tests.support.processes.living import begun, lived

TASK = Task(id="t1", content="Do it.", budget=Budget(cost=1.0))
PRICES = PriceList({"tiny-1": Price(input=1000, output=10_000)})
"""For the name that the endpoint gives; the agent's settings name the model `tiny`."""
EACH = (7 * 1000 + 3 * 10_000) / 1_000_000


async def answered(store: Store, run: Run) -> Response:
    return response_of((await store.read(lambda db: run_texts(db, run.run_id))).response or "")


async def test_a_model_without_a_known_price_is_refused_before_it_is_called(
    store: Store, endpoint: Endpoint
) -> None:
    run = await begun(own := instance(store), message=encode(TASK).decode())
    assert (await lived(own, endpoint, run)).status == "refused"
    said = await answered(store, run)
    assert said.content.startswith("not begun: its budget has a cost, and the price of the model")
    assert "'tiny'" in said.content
    assert endpoint.requests == []


async def test_each_reply_is_recorded_with_its_cost_and_the_response_has_the_sum(
    store: Store, endpoint: Endpoint
) -> None:
    run = await begun(own := instance(store), message=encode(TASK).decode())
    endpoint.script = [Answer(completion(content=None)), Answer(completion(content="Done."))]
    prices = PriceList({"tiny*": PRICES.own["tiny-1"]})
    assert (await lived(own, endpoint, run, prices=prices)).status == "ok"
    assert (await answered(store, run)).usage.cost == 2 * EACH
    steps = (await store.read(lambda db: run_texts(db, run.run_id))).steps
    assert [json.loads(it.output)["usage"]["cost"] for it in steps] == [EACH, EACH]


async def test_a_spent_cost_is_reported_and_allows_no_further_call(
    store: Store, endpoint: Endpoint
) -> None:
    poor = TASK.model_copy(update={"budget": Budget(cost=0.03)})
    run = await begun(own := instance(store), message=encode(poor).decode())
    call: JsonValue = {"function": {"name": "nothing", "arguments": "{}"}}
    endpoint.script = [Answer(completion(content=None, tool_calls=[call]))]
    prices = PriceList({"tiny": PRICES.own["tiny-1"]})
    assert (await lived(own, endpoint, run, prices=prices)).status == "failed"
    said = await answered(store, run)
    assert (said.content, said.usage.cost) == ("the budget of 0.03 USD is spent", EACH)


async def test_without_a_cost_in_the_budget_no_price_is_looked_up(
    store: Store, endpoint: Endpoint
) -> None:
    rich = TASK.model_copy(update={"budget": Budget(tokens=1000)})
    run = await begun(own := instance(store), message=encode(rich).decode())
    endpoint.script = [Answer(completion(content="Done."))]
    assert (await lived(own, endpoint, run, prices=PRICES)).status == "ok"
    assert (await answered(store, run)).usage.cost is None
