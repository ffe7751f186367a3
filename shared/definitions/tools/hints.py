"""The type hints of users' functions, in types that pydantic knows."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import (
    Callable,
    Collection,
    Container,
    Iterable,
    Iterator,
    Mapping,
    Reversible,
    Sequence,
)
from datetime import date, datetime, time
from functools import reduce
from operator import or_
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    LiteralString,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import BeforeValidator, ConfigDict, TypeAdapter
from pydantic.errors import PydanticUserError
from typing_extensions import TypedDict, is_typeddict

from shared.definitions.tools.module import import_for_types

_SEQUENCES = {Collection, Container, Iterable, Reversible, Sequence}
"""Abstract types that a list fits. Pydantic knows only two of them: for an iterable it passes an
iterator that validates its items inside the function, and for a sequence any text's letters."""

_TIMES = (date, datetime, time)
_NUMBER = re.compile(r"\s*[+-]?\d+(\.\d*)?\s*", re.ASCII)


def hints_of(function: Callable[..., object]) -> dict[str, Any]:
    """The hints of a function by parameter. Raises whatever evaluating them raises."""
    try:
        return get_type_hints(function, include_extras=True)
    except NameError:
        import_for_types(sys.modules[inspect.unwrap(function).__module__])
        return get_type_hints(function, include_extras=True)


def adapter(
    hints: Mapping[str, Any], optional: Iterable[str] = ()
) -> TypeAdapter[dict[str, object]]:
    """Validates an object with a key for each hint. Raises pydantic's errors.

    A name that a class of the hints knows only for type checkers is imported.
    """
    make: Any = TypedDict  # no type checker knows a TypedDict made at run time
    known = {name: _known(hint) for name, hint in hints.items()}
    arguments = make(
        "Arguments", {**known, **{name: NotRequired[known[name]] for name in optional}}
    )
    arguments.__pydantic_config__ = ConfigDict(
        extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False
    )
    try:
        made: TypeAdapter[dict[str, object]] = TypeAdapter(arguments)
        if made.pydantic_complete:
            return made
    except NameError:
        pass
    for module in {it.__module__ for hint in hints.values() for it in _classes(hint)}:
        import_for_types(sys.modules[module])
    return TypeAdapter(arguments)


def without_foreign(hint: Any) -> Any:
    """The hint, or a union's members that JSON has. Raises `PydanticUserError` if it has none."""
    try:
        adapter({"it": hint}).json_schema()
        return hint
    except PydanticUserError:
        if get_origin(hint) not in {Union, UnionType}:
            raise
        return Union[tuple(_members(hint))]  # noqa: UP007 - made at run time


def _members(union: Any) -> Iterator[Any]:
    found, fault = False, None
    for member in get_args(union):
        try:
            adapter({"it": member}).json_schema()
        except PydanticUserError as error:
            fault = error
        else:
            found = found or member is not NoneType
            yield member
    if fault and not found:
        raise fault


def _known(hint: Any, above: tuple[object, ...] = ()) -> Any:
    """The hint with equal types in place of those that pydantic does not know."""
    origin, parts = get_origin(hint), get_args(hint)
    if hint is LiteralString:
        return str
    if hint in _TIMES:
        return Annotated[hint, BeforeValidator(_written)]
    if not parts and any(it in (hint, origin) for it in _SEQUENCES):
        return list
    if type(hint).__module__ == "typing" and is_typeddict(hint) and hint not in above:
        return _typed_dict(hint, (*above, hint))
    if origin is None or origin is Literal or any(isinstance(part, list) for part in parts):
        return hint
    if origin is Annotated:
        return Annotated[(_known(parts[0], above), *parts[1:])]
    known = tuple(_known(part, above) for part in parts)
    if origin in _SEQUENCES:
        return list[known]  # type: ignore[valid-type]  # made at run time
    if known == parts:
        return hint
    if origin is UnionType:
        return reduce(or_, known)
    return hint.copy_with(known) if hasattr(hint, "copy_with") else origin[known]


def _written(value: object) -> object:
    """Refuses numbers, which pydantic takes for seconds since 1970: 20261201 is a day in 2026."""
    if isinstance(value, int | float) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        raise ValueError("write it as in ISO 8601, such as 2026-12-01 or 18:30:00")
    return value


def _typed_dict(hint: Any, above: tuple[object, ...]) -> Any:
    """The same as a `typing_extensions.TypedDict`: pydantic refuses `typing`'s before Python
    3.12."""
    make: Any = TypedDict
    fields: dict[str, Any] = {}
    for name, field in get_type_hints(hint, include_extras=True).items():
        qualifier = get_origin(field)  # `__optional_keys__` doesn't know those of postponed hints
        bare = get_args(field)[0] if qualifier in {NotRequired, Required} else field
        known = _known(bare, above)
        optional = qualifier is NotRequired or name in hint.__optional_keys__
        fields[name] = NotRequired[known] if optional and qualifier is not Required else known
    return make(hint.__name__, fields)


def _classes(hint: Any) -> Iterator[type]:
    if isinstance(hint, type):
        yield hint
    for part in get_args(hint):
        yield from _classes(part)
