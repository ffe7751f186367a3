"""Users' Python tools: typed functions and methods in files, loaded by file path.

Type hints become the JSON schema, the docstring becomes the descriptions.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Protocol, TypeVar

from pydantic import JsonValue, ValidationError
from pydantic_core import to_json

from shared.concurrency.threads import in_thread
from shared.definitions.results import answered, first_line, text_of
from shared.definitions.tools.arguments import checked, faults
from shared.definitions.tools.async_calls import Later, awaited
from shared.definitions.tools.call_info import CallInfo
from shared.definitions.tools.choice import ToolChoice
from shared.definitions.tools.docstrings import described
from shared.definitions.tools.module import known_functions, tool_module
from shared.definitions.tools.signature import Signature
from shared.errors import SettingsError, ToolError

JsonObject = dict[str, JsonValue]

R = TypeVar("R")


class InThread(Protocol):
    def __call__(self, function: Callable[[], R], /) -> Coroutine[object, object, R]:
        """Call a function in a thread; see `shared.concurrency.threads.in_thread`."""


@dataclass(frozen=True)
class Tool:
    """A function that a model can call. `choice` has the options of its calls."""

    choice: ToolChoice
    description: str
    signature: Signature
    function: Callable[..., object]
    owner: type | None = None
    """The class of a method. The function can be called once `bound` has given it an object."""
    strange: tuple[str, ...] = ()
    """Names that the docstring describes and that are no parameters."""

    @property
    def name(self) -> str:
        return self.choice.name

    @property
    def parameters(self) -> JsonObject:
        """The JSON schema of the arguments."""
        return self.signature.parameters

    @property
    def repeatable(self) -> bool:
        """Whether a call may be made again when it is unknown whether it has acted."""
        return self.choice.repeatable

    @property
    def is_class(self) -> bool:
        """Whether a call only makes an object: its name is that of a class."""
        return isinstance(self.function, type)

    def bound(self, owner: object) -> Tool:
        """The tool of a method, with the object that it belongs to."""
        return replace(self, function=partial(self.function, owner))

    async def call(
        self,
        arguments: JsonObject,
        info: CallInfo = CallInfo(),  # noqa: B008 - it is frozen
        thread: InThread = in_thread,
    ) -> str:
        """The result: a string unchanged, any other value as JSON, cut at `choice.max_result`.

        The function's code runs in a thread, and so do its validators, iterators and serialisers;
        only what is awaited runs in the event loop. A plain function runs to its end even if the
        call is cancelled, unless the process ends before.
        Raises `ToolError`, with text for the model, for wrong arguments and for anything that the
        function raises; `CancelledError` only if this call is cancelled.
        """
        try:
            begun = await thread(partial(self._begin, arguments, info))
            if isinstance(begun, str):
                return begun
            outcome = await awaited(begun)
            return await thread(partial(answered, self.name, lambda: self._text(outcome.result())))
        except RuntimeError as error:  # the system can start no more threads
            raise ToolError(f"{self.name} could not be called: {error}") from error

    def _begin(self, arguments: JsonObject, info: CallInfo) -> str | Later:
        """Run a plain function to its end, or an async one up to what must be awaited."""
        positional, named = self.signature.bind(self._checked(arguments), info)
        call = partial(self.function, *positional, **named)
        if inspect.iscoroutinefunction(self.function):
            return Later(call)
        return answered(self.name, lambda: self._text_or_later(call()))

    def _checked(self, arguments: JsonObject) -> dict[str, object]:
        def check() -> dict[str, object] | str:
            try:
                return checked(self.signature.arguments, arguments, self.signature.optional)
            except ValidationError as error:
                return faults(error)

        found = answered(self.name, check)
        if isinstance(found, str):
            raise ToolError(f"the arguments of {self.name} are wrong: {found}")
        return found

    def _text_or_later(self, result: object) -> str | Later:
        if isinstance(result, Awaitable | AsyncIterator):
            return Later(lambda: result)
        return self._text(result)

    def _text(self, result: object) -> str:
        return text_of(result, self.choice.max_result)


def load(folder: Path, tool: str | ToolChoice) -> Tool:
    """The tool that a reference such as `orders.py:lookup` names, in `<folder>/tools/orders.py`.

    The functions of one file share its module. Raises `SettingsError` naming file and function,
    also for anything that the file raises while it is imported. Call it where no event loop runs.
    """
    choice = ToolChoice(function=tool) if isinstance(tool, str) else tool
    file_name, _, name = choice.function.partition(":")
    file = folder / "tools" / file_name
    try:
        function, owner = _function(file, folder / "tools", file_name, name)
        docstring = described(inspect.getdoc(function) or "")
        signature = Signature(function, owner is not None, docstring.parameters)
        description = choice.description or docstring.text
        # Half a character raises: no model can be sent it.
        to_json([description, signature.parameters])
    except SettingsError:
        raise
    except Exception as error:  # hints run code, and the system may not be able to open a path
        raise SettingsError(f"{file}: '{name}': {first_line(error)}") from error
    strange = tuple(it for it in docstring.parameters if it not in signature.own.parameters)
    return Tool(choice, description, signature, function, owner, strange)


def _function(
    file: Path, tools: Path, file_name: str, name: str
) -> tuple[Callable[..., object], type | None]:
    """A function of a tool's file, and its class if it is a method."""
    module = tool_module(tools, file_name, name)
    first, _, method = name.partition(".")
    function = getattr(module, first, None)
    if function is None:
        raise SettingsError(
            f"{file}: there is no function '{first}'{known_functions(module, first)}"
        )
    if not method:
        if not callable(function):
            raise SettingsError(f"{file}: '{name}' is a {type(function).__name__}, not a function")
        return function, None
    if not isinstance(function, type):
        raise SettingsError(f"{file}: '{first}' is a {type(function).__name__}, not a class")
    found = getattr(function, method, None)
    if not callable(found):
        raise SettingsError(f"{file}: {first} has no method '{method}'")
    is_method = isinstance(inspect.getattr_static(function, method), FunctionType)
    return found, function if is_method else None
