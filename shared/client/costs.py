"""The cost of runs, as far as the prices of their models are known."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from pydantic import BaseModel, JsonValue, ValidationError

from shared.contract.messages import Usage
from shared.prices import PriceList
from shared.settings.environment import Settings
from shared.store import Store
from shared.store.queries.model_calls import ModelCall, Relative, model_calls, relatives
from shared.store.queries.reports import Row
from shared.store.queries.texts import DoneStep

OPENAI = "https://api.openai.com/v1"
"""The endpoint of a model for which none is set."""


@dataclass(frozen=True)
class Cost:
    """A sum in USD. It is incomplete if it leaves out calls: `unpriced` are their models."""

    usd: float = 0.0
    unpriced: frozenset[str] = frozenset()

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.usd + other.usd, self.unpriced | other.unpriced)

    @property
    def incomplete(self) -> bool:
        """Whether it has a price for some calls, and none for others."""
        return self.usd > 0 and bool(self.unpriced)

    @property
    def cell(self) -> str:
        """The amount, with `+?` if it is incomplete; empty if no call has a price."""
        amount = f"{self.usd:.6f}".rstrip("0").rstrip(".") if self.usd else ""
        return f"{amount}+?" if self.incomplete else amount

    @property
    def sentence(self) -> str:
        if not self.incomplete:
            return f"{self.cell} USD"
        models = ", ".join(sorted(self.unpriced))
        return f"{self.cell} USD; incomplete, as no price is known for {models}"

    @property
    def json(self) -> dict[str, JsonValue]:
        return {"usd": round(self.usd, 9), "unpriced": [*sorted(self.unpriced)]}


CallKey = tuple[str, int, int, int]
"""Run, epoch, turn and position."""

UNKNOWN = Cost(unpriced=frozenset({"a damaged row"}))


@dataclass(frozen=True)
class Costs:
    """The costs of model calls, of runs, and of runs with all that they have caused, by run id."""

    calls: Mapping[CallKey, Cost] = field(default_factory=dict)
    runs: Mapping[str, Cost] = field(default_factory=dict)
    trees: Mapping[str, Cost] = field(default_factory=dict)

    def step(self, run: Row, step: DoneStep) -> Cost:
        """The cost of a model call."""
        return self.calls.get((run.run_id, step.epoch, step.turn, step.position), UNKNOWN)

    def run(self, run_id: str) -> Cost:
        return self.runs.get(run_id, UNKNOWN)

    def tree(self, run_id: str) -> Cost:
        return self.trees.get(run_id, UNKNOWN)


async def read_costs(store: Store, settings: Settings, root_ids: Iterable[str]) -> Costs:
    """The costs of all runs of these trees."""
    roots = sorted(set(root_ids))
    family = await store.read(lambda connection: relatives(connection, roots))
    ids = [it.run_id for it in family]
    made = await store.read(lambda connection: model_calls(connection, ids))
    # In a thread: it parses every reply, and the first price takes up to a second to import.
    calls = await asyncio.to_thread(_costs, made, settings)
    own = dict.fromkeys(ids, Cost())
    for (run_id, *_), cost in calls.items():
        own[run_id] += cost
    return Costs(calls, own, _trees(family, own))


def _costs(made: Iterable[ModelCall], settings: Settings) -> dict[CallKey, Cost]:
    return {(it.run_id, it.epoch, it.turn, it.position): cost_of(it, settings) for it in made}


def _trees(family: Sequence[Relative], own: Mapping[str, Cost]) -> dict[str, Cost]:
    """The cost of each run with all that it has caused; a damaged row can be its own ancestor."""
    caused: dict[tuple[str, str], list[Relative]] = {}
    for it in family:
        caused.setdefault((it.root_id, it.parent_id or ""), []).append(it)
    sums = {}
    for top in family:
        below, seen = [top], {top.run_id}
        for it in below:
            children = caused.get((it.root_id, it.task_id), [])
            below += [child for child in children if child.run_id not in seen]
            seen.update(child.run_id for child in children)
        sums[top.run_id] = sum((own[it.run_id] for it in below), Cost())
    return sums


class _Reply(BaseModel):
    usage: Usage | None = None
    model: str | None = None


class _Choice(BaseModel):
    name: str | None = None
    base_url: str | None = None


class _Definition(BaseModel):
    model: _Choice = _Choice()


class _Snapshot(BaseModel):
    definition: _Definition = _Definition()


@lru_cache(maxsize=64)  # few runs have an older definition
def _choice(snapshot: str) -> _Choice:
    try:
        return _Snapshot.model_validate_json(snapshot).definition.model
    except ValidationError:
        return _Choice()


def cost_of(call: ModelCall, settings: Settings) -> Cost:
    """The cost of a call; see `cost_of_usage`."""
    try:
        reply = _Reply.model_validate_json(call.output)
        at = datetime.fromtimestamp(call.finished_at, UTC)
    except (ValidationError, TypeError, ValueError, OverflowError, OSError):
        return UNKNOWN
    usage = reply.usage or Usage(model_calls=1)
    return cost_of_usage(usage, reply.model or "", call.definition, at, settings)


def cost_of_usage(
    usage: Usage, model: str, definition: str, at: datetime, settings: Settings
) -> Cost:
    """The recorded cost of a call, or else its cost by the price at the time when it was made.

    `model` is the name that the endpoint has given, which decides: the scripted model answers in
    place of any model. `definition` is the JSON of the definition that the run's claim has frozen.
    """
    if usage.cost is not None:
        return Cost(usage.cost)
    if usage.model_calls == 0:  # a history was shortened without asking a model
        return Cost()
    choice = _choice(definition)
    name = model or choice.name or settings.model or ""
    if usage.tokens and name:
        base_url = choice.base_url or settings.base_url or OPENAI
        usd = PriceList(settings.prices).cost(name, base_url, usage, at)
        if usd is not None:
            return Cost(usd)
    return Cost(unpriced=frozenset({name or "a model without a name"}))
