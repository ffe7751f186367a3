"""The limits of models that all processes share, from the variable HUTCH_LIMITS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_Most = Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]


class ModelLimits(BaseModel):
    """What all processes together may ask of a model; None: no such limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    concurrent_calls: _Most | None = None
    requests_per_minute: _Most | None = None
    tokens_per_minute: _Most | None = None


LimitsByModel = Mapping[str, ModelLimits]
"""The limits by patterns of a model's whole name, such as `gpt-5*`; the first that fits applies.
All models that it fits share its limits."""
