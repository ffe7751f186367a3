"""Docstrings as models read them: the parameters' descriptions belong into the schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docstring_parser import Docstring, DocstringMeta

OF_PARAMETERS = {"param", "parameter", "arg", "argument", "key", "keyword", "other_param"}
"""The parser's names of a section or field that describes a parameter."""


@dataclass(frozen=True)
class Description:
    """A function's description without its parameters', and those by name."""

    text: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def described(docstring: str) -> Description:
    """The description in a docstring of Google's, NumPy's or Sphinx's style.

    A docstring that describes no parameter in one of these styles is the description, unchanged.
    Otherwise the sections on parameters and exceptions are left out: the schema has the former, and
    a model meets the latter only when they are raised.
    """
    from docstring_parser import ParseError, parse  # only agents with tools need it

    try:
        parsed = parse(docstring)
    except ParseError:
        return Description(docstring)
    parameters = dict(_parameters(parsed))
    if not parameters:
        return Description(docstring)
    parts = [parsed.short_description, parsed.long_description, *map(_section, parsed.meta)]
    return Description("\n\n".join(part for part in parts if part), parameters)


def _parameters(parsed: Docstring) -> Iterator[tuple[str, str]]:
    for meta in parsed.params:
        if meta.args[0] in OF_PARAMETERS and meta.description:
            for name in meta.arg_name.split(","):  # NumPy's style can describe two at once
                yield name.strip().lstrip("*"), meta.description


def _section(meta: DocstringMeta) -> str:
    from docstring_parser import DocstringParam, DocstringRaises

    if isinstance(meta, DocstringParam | DocstringRaises):
        return ""
    text = "\n".join(filter(None, [getattr(meta, "snippet", None), meta.description]))
    return f"{meta.args[0].capitalize()}: {text}" if text else ""
