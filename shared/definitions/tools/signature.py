"""A function's parameters as the JSON schema of a tool, and arguments as its parameters."""

from __future__ import annotations

import inspect
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast, get_args, get_origin

from pydantic import JsonValue, TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import from_json, to_json
from typing_extensions import Unpack

from shared.definitions.results import first_line
from shared.definitions.tools.call_info import FILLED, CallInfo, check_hint
from shared.definitions.tools.hints import adapter, hints_of, without_foreign
from shared.telemetry.logs import is_secret

Kind = inspect.Parameter

_ONE_BY_ONE = {Kind.POSITIONAL_OR_KEYWORD, Kind.KEYWORD_ONLY}


class Untitled(GenerateJsonSchema):
    """Leaves out titles of fields: they repeat names and would cost tokens at each model call."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False


@dataclass(frozen=True)
class Signature:
    """The parameters of a function. Raises `TypeError`, `ValueError`, `NameError` or pydantic's
    errors when it is made, if a tool can't have them."""

    function: Callable[..., object]
    is_method: bool = False
    """Whether the first parameter is the object, which no model sends."""
    descriptions: Mapping[str, str] = field(default_factory=dict)
    """The parameters' descriptions in the docstring."""

    def __post_init__(self) -> None:
        self.parameters  # noqa: B018 - computed now, so that it raises now

    @cached_property
    def own(self) -> inspect.Signature:
        signature = inspect.signature(self.function)
        if not self.is_method:
            return signature
        _, *others = signature.parameters.values()
        return signature.replace(parameters=others)

    @cached_property
    def filled(self) -> frozenset[str]:
        """The parameters that get a field of `CallInfo`."""
        named = {it.name for it in self.own.parameters.values() if it.kind in _ONE_BY_ONE}
        return FILLED & named

    @property
    def left_out(self) -> Mapping[str, str]:
        """The parameters that always have their default, with the reason: JSON doesn't have their
        type."""
        return self._hints[1]

    @cached_property
    def optional(self) -> frozenset[str]:
        """The parameters that a model may leave out."""
        return self._with_default & self._hints[0].keys()

    @cached_property
    def arguments(self) -> TypeAdapter[dict[str, object]]:
        """Validates a model's arguments."""
        return adapter(self._hints[0], self.optional)

    @cached_property
    def parameters(self) -> dict[str, JsonValue]:
        """The JSON schema of the arguments, with the defaults that JSON has.

        The default of a parameter that is a secret by its name is not shown to a model.
        """
        schema: Any = self.arguments.json_schema(schema_generator=Untitled)
        schema.pop("title", None)
        for name, shown in schema["properties"].items():
            if name in self.descriptions:
                shown.setdefault("description", self.descriptions[name])
            default = self.own.parameters[name].default
            if default is not Kind.empty and not is_secret(name):
                with suppress(Exception):  # a default that JSON does not have still applies
                    shown["default"] = from_json(to_json(default), allow_inf_nan=False)
        completed: dict[str, JsonValue] = with_items(schema)
        return completed

    def bind(
        self, arguments: Mapping[str, object], info: CallInfo
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        """The positional and the named arguments of a call.

        A fact that the call doesn't have, such as a session, leaves a default in place.
        """
        facts = {name: getattr(info, name) for name in self.filled}
        known = {
            name: it
            for name, it in facts.items()
            if it is not None or name not in self._with_default
        }
        values = {**arguments, **known}
        if all(it.kind in _ONE_BY_ONE for it in self.own.parameters.values()):
            return (), values
        bound = inspect.BoundArguments(self.own, OrderedDict(values))
        bound.apply_defaults()
        return bound.args, dict(bound.kwargs)

    @cached_property
    def _hints(self) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        """The hints of the parameters that a model can send, and the faults of the others."""
        evaluated = hints_of(self.function)
        for name in self.filled & evaluated.keys():
            check_hint(name, evaluated[name], has_default=name in self._with_default)
        hints = {
            it.name: self._hint(it, evaluated)
            for it in self.own.parameters.values()
            if it.name not in self.filled
        }
        try:
            adapter(hints).json_schema()
            return hints, {}
        except PydanticUserError:
            return self._expressible(hints)

    def _expressible(self, hints: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        kept: dict[str, Any] = {}
        faults: dict[str, str] = {}
        for name, hint in hints.items():
            try:
                kept[name] = without_foreign(hint)
            except PydanticUserError as error:
                fault = _fault(error)
                if name not in self._with_default:
                    raise TypeError(
                        f"the parameter '{name}' has a type that JSON doesn't have: {fault}"
                    ) from error
                faults[name] = fault
        return kept, faults

    @cached_property
    def _with_default(self) -> frozenset[str]:
        several = {Kind.VAR_POSITIONAL, Kind.VAR_KEYWORD}
        return frozenset(
            it.name
            for it in self.own.parameters.values()
            if it.default is not Kind.empty or it.kind in several
        )

    def _hint(self, parameter: Kind, evaluated: Mapping[str, Any]) -> Any:
        if parameter.name not in evaluated:
            if isinstance(self.function, type):  # its hints are those of `__init__`
                raise TypeError("it is a class; name a function")
            raise TypeError(f"the parameter '{parameter}' has no type hint")
        hint: Any = evaluated[parameter.name]
        many, mapping = cast(Any, list), cast(Any, dict)  # mypy takes no variable as a type
        if parameter.kind is Kind.VAR_POSITIONAL:
            return many[hint]
        if parameter.kind is Kind.VAR_KEYWORD:
            return get_args(hint)[0] if get_origin(hint) is Unpack else mapping[str, hint]
        return hint


def _fault(error: PydanticUserError) -> str:
    """The type that pydantic has no schema for, without its advice on its own settings."""
    text = re.sub(r"^(Unable|Cannot) .* for (core_schema\.)?", "no schema for ", first_line(error))
    return text.partition(". Set ")[0]


def with_items(schema: Any) -> Any:
    """The schema with `items` in each array: endpoints refuse an array without."""
    if isinstance(schema, list):
        return [with_items(it) for it in schema]
    if not isinstance(schema, dict):
        return schema
    missing: dict[str, Any] = (
        {"items": {}} if schema.get("type") == "array" and "items" not in schema else {}
    )
    return {key: with_items(it) for key, it in schema.items()} | missing
