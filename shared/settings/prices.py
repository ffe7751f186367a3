"""The prices of models that the variable HUTCH_PRICES sets, in USD per million tokens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
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


def given_prices(value: object) -> object:
    """The mapping in a JSON text, or in the YAML or JSON file that the text names.

    Raises `ValueError` with one sentence.
    """
    if not isinstance(value, str):
        return value
    import yaml  # not loaded where no prices are set

    text, source = value.strip(), "it"
    if not text.startswith("{"):
        source = f"the file '{text}'"
        try:
            text = Path(text).read_text("utf-8")
        except (OSError, UnicodeError) as error:
            raise ValueError(f"{source} can't be read; write JSON or the name of a file") from error
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{source} is neither YAML nor JSON: {_line(error)}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{source} must map model names to prices")
    return found


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
