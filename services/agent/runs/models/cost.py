"""What a run's model calls cost, computed only for a run whose budget has a cost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from services.agent.llm.chat import Completion
from services.agent.llm.client import OpenAIModel
from services.agent.loop.work import Outcome
from services.agent.loop.wrappers import ModelWrapper
from shared.contract.messages import Budget, Status
from shared.prices import PriceList


async def price_refusal(
    budget: Budget | None, models: Sequence[OpenAIModel], prices: PriceList
) -> Outcome | None:
    """The outcome of a run whose budget has a cost that its models' calls can't be counted against.

    Loads the prices in a thread: that takes up to a second.
    """
    if budget is None or budget.cost is None:
        return None
    now = datetime.now(UTC)
    for model in models:
        if not await asyncio.to_thread(prices.knows, model.name, model.base_url, now):
            content = (
                f"not begun: its budget has a cost, and the price of the model '{model.name}' is "
                "not known; set it in HUTCH_PRICES, or give a budget of tokens"
            )
            return Outcome(status=Status.REFUSED, content=content)
    return None


@dataclass
class PricedModel(ModelWrapper):
    """A model whose replies contain their cost.

    It is recorded with the reply, so a resumed run divides its budget as before, whatever the
    prices are by then.
    """

    prices: PriceList
    name: str
    base_url: str

    async def around(self, call: Callable[[], Awaitable[Completion]]) -> Completion:
        completion = await call()
        usage, now = completion.usage, datetime.now(UTC)
        names = (completion.model or self.name, self.name)  # the endpoint's name is more exact
        costs = (self.prices.cost(name, self.base_url, usage, now) for name in names)
        cost = next((it for it in costs if it is not None), 0.0)
        return completion.model_copy(update={"usage": usage.model_copy(update={"cost": cost})})
