"""A function's parameters as the JSON schema of a tool, and arguments as its parameters."""

from __future__ import annotations

import inspect
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cached_property
from typing import Any, NotRequired, Protocol, cast, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, JsonValue, TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import from_json, to_json
from typing_extensions import TypedDict, Unpack

from shared.definitions.results import first_line
from shared.definitions.tools.module import import_for_types
from shared.telemetry.logs import is_secret

Kind = inspect.Parameter

_ONE_BY_ONE = {Kind.POSITIONAL_OR_KEYWORD, Kind.KEYWORD_ONLY}


class Progress(Protocol):
    def __call__(self, done: float, total: float | None = None) -> None:
        """Report how much of a call's work is done, from any thread."""


def unreported(done: float, total: float | None = None) -> None:
    """The `Progress` of a call that no run makes."""


@dataclass(frozen=True)
class CallInfo:
    """Facts of one call. A function's parameter with the name of a field gets it; no model does."""

    idempotency_key: str = ""
    """The step's key, which is the same if the call is made again."""
    deadline: datetime | None = None
    """The time at which the call is cut off, with its zone."""
    session: str | None = None
    """The conversation that the run belongs to."""
    run_id: str = ""
    progress: Progress = unreported


FILLED = frozenset(it.name for it in fields(CallInfo))
"""The parameters that no model fills."""


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
    def hints(self) -> dict[str, Any]:
        try:
            return get_type_hints(self.function, include_extras=True)
        except NameError:
            import_for_types(sys.modules[inspect.unwrap(self.function).__module__])
            return get_type_hints(self.function, include_extras=True)

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

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The hints of the parameters that a model can send, by name."""
        return {
            it.name: self._hint(it)
            for it in self.own.parameters.values()
            if it.name not in self.filled
        }

    @cached_property
    def left_out(self) -> Mapping[str, str]:
        """The parameters that always have their default, with the reason: no JSON has their
        type."""
        faults = {}
        for name, hint in self.fields.items():
            try:
                _adapter({name: hint}).json_schema()
            except PydanticUserError as error:
                if name not in self._with_default:
                    raise TypeError(f"the parameter '{name}': {first_line(error)}") from error
                faults[name] = first_line(error)
        return faults

    @cached_property
    def optional(self) -> frozenset[str]:
        """The parameters that a model may leave out."""
        return self._with_default & self.arguments_fields.keys()

    @cached_property
    def arguments_fields(self) -> dict[str, Any]:
        return {name: hint for name, hint in self.fields.items() if name not in self.left_out}

    @cached_property
    def arguments(self) -> TypeAdapter[dict[str, object]]:
        """Validates a model's arguments."""
        return _adapter(
            {
                name: NotRequired[hint] if name in self._with_default else hint
                for name, hint in self.arguments_fields.items()
            }
        )

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
        return dict(schema)

    def bind(
        self, arguments: Mapping[str, object], info: CallInfo
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        """The positional and the named arguments of a call."""
        values = {**arguments, **{name: getattr(info, name) for name in self.filled}}
        if all(it.kind in _ONE_BY_ONE for it in self.own.parameters.values()):
            return (), values
        bound = inspect.BoundArguments(self.own, OrderedDict(values))
        bound.apply_defaults()
        return bound.args, dict(bound.kwargs)

    @cached_property
    def _with_default(self) -> frozenset[str]:
        several = {Kind.VAR_POSITIONAL, Kind.VAR_KEYWORD}
        return frozenset(
            it.name
            for it in self.own.parameters.values()
            if it.default is not Kind.empty or it.kind in several
        )

    def _hint(self, parameter: Kind) -> Any:
        if parameter.name not in self.hints:
            if isinstance(self.function, type):  # its hints are those of `__init__`
                raise TypeError("it is a class; name a function")
            raise TypeError(f"the parameter '{parameter}' has no type hint")
        hint: Any = self.hints[parameter.name]
        many, mapping = cast(Any, list), cast(Any, dict)  # mypy takes no variable as a type
        if parameter.kind is Kind.VAR_POSITIONAL:
            return many[hint]
        if parameter.kind is Kind.VAR_KEYWORD:
            return get_args(hint)[0] if get_origin(hint) is Unpack else mapping[str, hint]
        return hint


def _adapter(hints: dict[str, Any]) -> TypeAdapter[dict[str, object]]:
    """A TypedDict of arguments. A name that a class of the hints knows only for type checkers is
    imported."""
    make: Any = TypedDict  # no type checker knows a TypedDict made at run time
    arguments = make("Arguments", hints)
    arguments.__pydantic_config__ = ConfigDict(extra="forbid", coerce_numbers_to_str=True)
    try:
        return TypeAdapter(arguments)
    except NameError:
        for module in {it.__module__ for hint in hints.values() for it in _classes(hint)}:
            import_for_types(sys.modules[module])
        return TypeAdapter(arguments)


def _classes(hint: Any) -> Iterator[type]:
    if isinstance(hint, type):
        yield hint
    for part in get_args(hint):
        yield from _classes(part)
