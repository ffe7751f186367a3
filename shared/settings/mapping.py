"""Mappings by the name of a model that a variable holds as JSON, or that are in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def given(what: str) -> Callable[[object], object]:
    """A function that returns the mapping in a JSON text, or in the YAML or JSON file that the text
    names. `what` says what names are mapped to. The function raises `ValueError` with one sentence.
    """

    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        import yaml  # not loaded where no mapping is set

        text, source = value.strip(), "it"
        if not text.startswith("{"):
            source = f"the file '{text}'"
            try:
                text = Path(text).read_text("utf-8")
            except (OSError, UnicodeError) as error:
                fault = f"{source} can't be read; write JSON or the name of a file"
                raise ValueError(fault) from error
        try:
            found = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(f"{source} is neither YAML nor JSON: {_line(error)}") from error
        if not isinstance(found, dict):
            raise ValueError(f"{source} must map model names to {what}")
        return found

    return read


def first_match(mapping: Mapping[str, T], model: str) -> tuple[str, T] | None:
    """The first pattern that fits the model's whole name, such as `gpt-5*`, and what it maps to."""
    return next(((name, it) for name, it in mapping.items() if fnmatchcase(model, name)), None)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
