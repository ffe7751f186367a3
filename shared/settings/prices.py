"""The prices of models that the variable HUTCH_PRICES sets, in USD per million tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_Amount = Annotated[float, Field(ge=0, le=1e6)]


class Price(BaseModel):
    """The price of one million tokens; input from the endpoint's cache can be cheaper."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: _Amount
    output: _Amount
    cached_input: _Amount | None = Field(default=None, description="default: as `input`")


Prices = Mapping[str, Price]
"""By a pattern of the model's whole name, such as `gpt-5*`; the first that fits applies."""
