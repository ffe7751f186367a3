"""The data of a structured answer: read from a model's text, and validated by its schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice

from pydantic import JsonValue
from pydantic_core import from_json, to_json

from shared.definitions.functions import JsonObject
from shared.definitions.models.narrowing import WRAPPED, is_wrapped, narrowed, pointed
from shared.definitions.output import Checker, may_fit

MOST_CORRECTIONS = 2
"""A model gets to correct its answer so often; then the run fails."""

MOST_CHARS = 100_000
"""The longest answer: a response has it twice, as text and as data."""

_MOST_STARTS = 20
"""The most places in a text at which JSON is looked for."""

_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL | re.IGNORECASE)
_OPENING = re.compile(r"[{\[]")


class AnswerData:
    """The form of an agent's answers."""

    def __init__(self, schema: JsonObject) -> None:
        self._schema = schema
        self._checker = Checker(schema)
        narrow = narrowed(schema)
        self.sent = narrow.schema
        """The schema that a model is given."""
        self.strict = narrow.strict

    def read(self, text: str) -> tuple[JsonValue, list[str]]:
        """The data in a text, and its faults: the data is valid only without faults.

        JSON may stand in a fence or between other text. The first JSON that is valid is used.
        """
        if len(text) > MOST_CHARS:
            return None, [f"the answer is longer than {MOST_CHARS} characters"]
        first: list[str] = []
        for value in _values(text):
            found, wrong = self._checked(value)
            if not wrong:
                return found, []
            first = first or wrong
        return None, first or ["the answer is not JSON"]

    def correction(self, wrong: list[str]) -> str:
        """The request to the model to answer again."""
        schema = to_json(self.sent).decode()
        lines = "\n".join(f"- {fault}" for fault in wrong)
        return (
            f"Your answer does not fit its JSON schema:\n{lines}\n"
            f"Answer again, with JSON only, that fits this schema: {schema}"
        )

    def _checked(self, value: JsonValue) -> tuple[JsonValue, list[str]]:
        """The value and its faults, without the wrapping and the nulls of the narrow schema."""
        if is_wrapped(self._schema) and isinstance(value, dict) and value.keys() == {WRAPPED}:
            value = value[WRAPPED]
        wrong = self._checker.faults(value)
        if not wrong:
            return value, []
        without = self._without_nulls(value, self._schema)
        return without, self._checker.faults(without)

    def _without_nulls(self, value: JsonValue, schema: JsonValue) -> JsonValue:
        """The value without nulls for optional keys that take none.

        The narrow schema requires these keys, so a model leaves one out by null.
        """
        if not isinstance(schema, dict):
            return value
        if isinstance(reference := schema.get("$ref"), str):
            return self._without_nulls(value, pointed(self._schema, reference))
        for key in ("anyOf", "oneOf", "allOf"):
            branches = schema.get(key)
            for branch in branches if isinstance(branches, list) else ():
                if key != "allOf" and not may_fit(self._schema, branch, value):
                    continue
                changed = self._without_nulls(value, branch)
                if key == "allOf":
                    value = changed
                elif self._checker.takes(changed, branch):
                    return changed
        if isinstance(value, list):
            items = schema.get("items")
            return [self._without_nulls(it, items) for it in value]
        properties, required = schema.get("properties"), schema.get("required")
        if not isinstance(value, dict) or not isinstance(properties, dict):
            return value
        must = required if isinstance(required, list) else []
        return {
            name: self._without_nulls(it, properties.get(name))
            for name, it in value.items()
            if it is not None
            or name in must
            or name not in properties
            or self._checker.takes(None, properties[name])
        }


def _values(text: str) -> Iterator[JsonValue]:
    """The JSON values in a text: the whole, those in fences, then those between other text."""
    for part in (text, *_FENCED.findall(text)):
        yield from _parsed(part.strip())
    decoder = json.JSONDecoder()
    end = 0
    for opening in islice(_OPENING.finditer(text), _MOST_STARTS):
        if opening.start() < end:
            continue
        try:
            _, end = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            continue
        yield from _parsed(text[opening.start() : end])


def _parsed(text: str) -> Iterator[JsonValue]:
    try:
        yield from_json(text, allow_inf_nan=False)
    except ValueError:
        return
