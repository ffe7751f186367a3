"""The models of this process as its runs call them: watched, counted, paused and limited."""

from __future__ import annotations

from dataclasses import dataclass

from services.agent.instance import Instance
from services.agent.llm.chat import Model
from services.agent.llm.registry import ModelRegistry
from services.agent.loop.snapshot import Snapshot
from services.agent.loop.work import Outcome
from services.agent.runs.admission import Slot
from services.agent.runs.instrumentation import InstrumentedModel
from services.agent.runs.models.cause import WatchedModel
from services.agent.runs.models.cost import PricedModel, price_refusal
from services.agent.runs.models.pause import Pause, PausedModel
from services.agent.runs.models.rate_limits import LimitedModel, RateLimits
from services.agent.runs.store_journal import StoredJournal
from shared.contract.messages import Task, Trigger
from shared.definitions.model import Definition
from shared.prices import PriceList
from shared.store.runs.run import Run


@dataclass
class RunModels:
    """Its methods raise `SettingsError` if the settings no longer allow the use of a model."""

    instance: Instance
    registry: ModelRegistry
    pause: Pause
    prices: PriceList
    limits: RateLimits

    def of(
        self,
        run: Run,
        message: Task | Trigger,
        slot: Slot,
        journal: StoredJournal,
        definition: Definition,
    ) -> Model:
        """A definition's model, for the calls of one run."""
        endpoint = self.registry.of(definition)
        model: Model = InstrumentedModel(endpoint, self.instance, run)
        if message.budget and message.budget.cost is not None:
            model = PricedModel(model, self.prices, endpoint.name, endpoint.base_url)
        if limit := self.limits.of(endpoint.name):
            model = LimitedModel(model, limit, run, message.priority, slot, self.pause, journal)
        return PausedModel(WatchedModel(model, journal.cause), self.pause, journal)

    async def price_refusal(self, message: Task | Trigger, snapshot: Snapshot) -> Outcome | None:
        """See `cost.price_refusal`."""
        models = self.registry.all_of(snapshot.definition)
        return await price_refusal(message.budget, models, self.prices)
