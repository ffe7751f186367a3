"""Users' Python tools: plain functions in files, loaded by file path.

Type hints become the JSON schema, the docstring becomes the description. A tool's file can import
installed packages and, by its name, any other file in the folder of tools. An installed package or
a module of Python's own that has the same name as such a file is imported instead of it.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NotRequired, get_type_hints

from pydantic import ConfigDict, JsonValue, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import from_json, to_json
from typing_extensions import TypedDict

from shared.concurrency.threads import in_thread
from shared.definitions.arguments import checked, faults
from shared.definitions.async_calls import Later, awaited
from shared.definitions.results import MAX_ERROR_CHARS, answered, text_of
from shared.errors import SettingsError, ToolError
from shared.telemetry.logs import is_secret
from shared.validation import near

JsonObject = dict[str, JsonValue]

KEY_PARAMETER = "idempotency_key"
"""The parameter that gets the step's key, which is the same if the call is made again."""

MOST_KNOWN = 10
"""The most functions of a file that an error names."""

_BY_KEYWORD = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


@dataclass(frozen=True)
class Tool:
    """A function that a model can call. `parameters` is the JSON schema of its arguments."""

    name: str
    description: str
    parameters: JsonObject
    repeatable: bool
    """Whether a call may be made again when it is unknown whether it has acted."""
    _function: Callable[..., object]
    _arguments: TypeAdapter[dict[str, object]]
    _takes_key: bool
    _optional: frozenset[str] = frozenset()
    """The parameters that have a default."""

    @property
    def is_class(self) -> bool:
        """Whether a call only makes an object: its name is that of a class."""
        return isinstance(self._function, type)

    async def call(self, arguments: dict[str, JsonValue], idempotency_key: str = "") -> str:
        """The result: a string unchanged, any other value as JSON, cut at `MAX_RESULT_CHARS`.

        The key is passed to a function that has a parameter of that name; no model sees it.
        The function's code runs in a thread of its own, and so do its validators, iterators and
        serialisers; only what is awaited runs in the event loop. A plain function runs to its end
        even if the call is cancelled, unless the process ends before.
        Raises `ToolError`, with text for the model, for wrong arguments and for anything that the
        function raises; `CancelledError` only if this call is cancelled.
        """
        try:
            begun = await in_thread(self._begin, arguments, idempotency_key)
            if isinstance(begun, str):
                return begun
            outcome = await awaited(begun)
            return await in_thread(answered, self.name, lambda: text_of(outcome.result()))
        except RuntimeError as error:  # the system can start no more threads
            raise ToolError(f"{self.name} could not be called: {error}") from error

    def _begin(self, arguments: dict[str, JsonValue], idempotency_key: str) -> str | Later:
        """Run a plain function to its end, or an async one up to what must be awaited."""
        values = self._checked(arguments)
        if self._takes_key:
            values[KEY_PARAMETER] = idempotency_key
        call = partial(self._function, **values)
        if inspect.iscoroutinefunction(self._function):
            return Later(call)
        return answered(self.name, lambda: _text_or_later(call()))

    def _checked(self, arguments: dict[str, JsonValue]) -> dict[str, object]:
        def check() -> dict[str, object] | str:
            try:
                return checked(self._arguments, arguments, self._optional)
            except ValidationError as error:
                return faults(error)

        found = answered(self.name, check)
        if isinstance(found, str):
            raise ToolError(f"the arguments of {self.name} are wrong: {found}")
        return found


def _text_or_later(result: object) -> str | Later:
    if isinstance(result, Awaitable | AsyncIterator):
        return Later(lambda: result)
    return text_of(result)


def load(folder: Path, reference: str, *, repeatable: bool = False) -> Tool:
    """The tool that a reference such as `orders.py:lookup` names, in `<folder>/tools/orders.py`.

    The functions of one file share its module. Raises `SettingsError` naming file and function,
    also for anything that the file raises while it is imported. Call it where no event loop runs.
    """
    file_name, _, name = reference.partition(":")
    file = folder / "tools" / file_name
    try:
        module = tool_module(folder / "tools", file_name, name)
        function = getattr(module, name, None)
        if function is None:
            raise SettingsError(f"{file}: there is no function '{name}'{_known(module, name)}")
        if not callable(function):
            raise SettingsError(f"{file}: '{name}' is a {type(function).__name__}, not a function")
        arguments = TypeAdapter(_signature(function))
        parameters = arguments.json_schema(schema_generator=Untitled)
        description = inspect.getdoc(function) or ""
        takes_key = KEY_PARAMETER in inspect.signature(function).parameters
        optional = _name_defaults(parameters, function)
        to_json(
            [description, parameters]
        )  # raises for half a character, which no model can be sent
    except SettingsError:
        raise
    except (
        Exception
    ) as error:  # hints are code too, and a path can be one that the system can't open
        raise SettingsError(f"{file}: '{name}': {_first_line(error)}") from error
    parameters.pop("title", None)
    return Tool(
        sanitised(name),
        description,
        parameters,
        repeatable,
        function,
        arguments,
        takes_key,
        optional,
    )


def sanitised(name: str) -> str:
    """The name in a form that every endpoint takes: `^[a-zA-Z0-9_-]{1,64}$`."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64] or "_"


def tool_module(tools: Path, file_name: str, function: str) -> ModuleType:
    """The module of a file in the folder of tools: the one that `import` gives to other tools.

    If `import` finds another module by the file's name, the file's own gets a name that no package
    has. Raises `SettingsError` if it can't be imported.
    """
    file = tools / file_name
    if not file.is_file():
        raise SettingsError(f"{file}: there is no such file to load '{function}' from")
    if (path := str(tools.resolve())) not in sys.path:
        sys.path.append(path)  # last: a tool's file replaces no package, ours least of all
    try:
        return _imported(file, Path(file_name))
    except BaseException as error:
        fault = f"{type(error).__name__}: {_first_line(error)}"
        if isinstance(error, SyntaxError) and error.filename:
            place = error.filename.replace(str(tools.resolve()), str(tools))
            fault = f"{place}:{error.lineno}: SyntaxError: {error.msg}"
        raise SettingsError(f"{file}: importing it for '{function}' failed: {fault}") from error


def _known(module: ModuleType, name: str) -> str:
    """The end of the sentence about an unknown function: those that the file defines."""
    found = [
        known
        for known, it in vars(module).items()
        if inspect.isfunction(it) and it.__module__ == module.__name__ and known[0] != "_"
    ]
    return f"; known: {', '.join(found[:MOST_KNOWN]) or 'none'}{near(name, found)}"


def _imported(file: Path, relative: Path) -> ModuleType:
    name = ".".join(relative.with_suffix("").parts)
    if _found(name) == file.resolve():
        return importlib.import_module(name)
    name = f"_hutch_tool_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError("it is no Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _found(name: str) -> Path | None:
    """The file that `import` finds by this name."""
    if not name.replace(".", "").isidentifier():
        return None
    with suppress(ImportError, ValueError):  # a parent that is no package; a module without a spec
        spec = importlib.util.find_spec(name)
        return Path(spec.origin).resolve() if spec and spec.origin else None
    return None


def _signature(function: Callable[..., object]) -> Any:
    """A TypedDict of a model's arguments; a parameter with a default may be absent.

    Raises `TypeError`, `ValueError` or `NameError` if a tool can't have this signature.
    """
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in _BY_KEYWORD:
            raise TypeError(f"'{parameter}' can't be passed by name; a tool's arguments are named")
        if parameter.name not in hints:
            if isinstance(function, type):  # its hints are those of `__init__`
                raise TypeError("it is a class; name a function")
            raise TypeError(f"the parameter '{parameter.name}' has no type hint")
        if parameter.name == KEY_PARAMETER:
            continue
        hint = hints[parameter.name]
        fields[parameter.name] = hint if parameter.default is parameter.empty else NotRequired[hint]
    make: Any = TypedDict  # no type checker knows a TypedDict made at run time
    arguments = make("Arguments", fields)
    arguments.__pydantic_config__ = ConfigDict(extra="forbid", coerce_numbers_to_str=True)
    return arguments


def _name_defaults(parameters: JsonObject, function: Callable[..., object]) -> frozenset[str]:
    """Add the defaults to the schema, if JSON has them; returns the parameters that have a default.

    The default of a parameter that is a secret by its name is not shown to a model.
    """
    properties: Any = parameters["properties"]
    given = {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not parameter.empty and name in properties
    }
    for name, default in given.items():
        if not is_secret(name):
            with suppress(Exception):  # a default that JSON does not have still applies
                properties[name]["default"] = from_json(to_json(default), allow_inf_nan=False)
    return frozenset(given)


class Untitled(GenerateJsonSchema):
    """Leaves out titles of fields: they repeat names and would cost tokens at each model call."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False


def _first_line(error: BaseException) -> str:
    try:
        return str(error).partition("\n")[0][:MAX_ERROR_CHARS]
    except Exception:  # noqa: BLE001 - formatting a user's exception runs a user's code
        return "without a text"
