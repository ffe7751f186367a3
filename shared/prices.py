"""The cost of model calls in USD, by the settings' prices or else by the package `genai-prices`.

The package takes up to a second to import, so it is imported at the first look-up and not before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from shared.contract.messages import COST_DIGITS, COST_MOST, Usage
from shared.settings.mapping import first_match
from shared.settings.prices import Price, Prices

_MILLION = 1_000_000


@dataclass(frozen=True)
class PriceList:
    """`own` prices come first: they can also correct the package's."""

    own: Prices = field(default_factory=dict)

    def cost(self, model: str, base_url: str, usage: Usage, at: datetime) -> float | None:
        """What the tokens cost at that time; None if the model's price at the endpoint is unknown.

        The endpoint decides: a model that is served elsewhere has no known price, whatever its
        name.
        """
        found = first_match(self.own, model)
        usd = _own(found[1], usage) if found else _packaged(model, base_url, usage, at)
        return None if usd is None else min(round(usd, COST_DIGITS), COST_MOST)

    def knows(self, model: str, base_url: str, at: datetime) -> bool:
        """Whether calls of the model have a price."""
        return self.cost(model, base_url, Usage(input_tokens=1, output_tokens=1), at) is not None


def _own(price: Price, usage: Usage) -> float:
    cached = min(usage.cached_tokens, usage.input_tokens)
    cached_price = price.input if price.cached_input is None else price.cached_input
    paid = (
        (usage.input_tokens - cached) * price.input
        + cached * cached_price
        + usage.output_tokens * price.output
    )
    return paid / _MILLION


def _packaged(model: str, base_url: str, usage: Usage, at: datetime) -> float | None:
    import genai_prices

    counts = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=min(usage.cached_tokens, usage.input_tokens),
        output_tokens=usage.output_tokens,
    )
    try:
        found = genai_prices.calc_price(
            counts, model, provider_api_url=base_url, genai_request_timestamp=at
        )
    except (LookupError, ValueError):  # no such provider or model, or it has no price for tokens
        return None
    return float(found.total_price)
