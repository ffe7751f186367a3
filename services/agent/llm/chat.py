"""The conversation between the loop and a model, independent of any endpoint's format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol

from pydantic import BeforeValidator, JsonValue
from pydantic_core import from_json, to_json

from shared.contract.messages import Frozen, Usage
from shared.contract.rows import storable
from shared.definitions.functions import JsonObject, sanitised
from shared.errors import ToolError

Text = Annotated[
    str, BeforeValidator(lambda value: storable(value) if isinstance(value, str) else value)
]
"""Text from outside, cleaned by `storable`."""


class ToolSpec(Frozen):
    """A tool as it is offered to a model; `parameters` is a JSON schema.

    `repeatable` is not sent: it tells the run whether a call may be made twice.
    """

    name: str
    description: str
    parameters: JsonObject
    repeatable: bool = False


class ToolCall(Frozen):
    """A call as the model made it. The id can be empty or repeated, the arguments invalid JSON."""

    id: Text = ""
    name: Text
    arguments: Text = ""

    def parsed(self) -> JsonObject:
        """The arguments as an object. Empty arguments are an empty object; a JSON string that
        contains an object counts as that object. Raises `ToolError` for anything else.
        """
        try:
            arguments: JsonValue = from_json(self.arguments.strip() or "{}", allow_inf_nan=False)
            if isinstance(arguments, str):  # some models write JSON, and then that as JSON
                arguments = from_json(arguments, allow_inf_nan=False)
        except ValueError as error:
            raise ToolError(f"the arguments are not JSON: {error}; send one JSON object") from error
        if not isinstance(arguments, dict):
            raise ToolError(f"the arguments are a {type(arguments).__name__}; send one JSON object")
        return arguments

    def resendable(self, call_id: str) -> ToolCall:
        """The call under our own id, with a name and JSON that endpoints accept in a history."""
        try:
            parsed, arguments = self.parsed(), self.arguments.strip() or "{}"
            if arguments.startswith('"'):
                arguments = to_json(parsed).decode()
        except ToolError:
            arguments = "{}"
        return ToolCall(id=call_id, name=sanitised(self.name), arguments=arguments)


class Completion(Frozen):
    """One reply of a model. `usage` counts the requests that were answered, normally one."""

    content: Text | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: Text | None = None
    refusal: Text | None = None
    usage: Usage = Usage(model_calls=1)
    model: Text | None = None

    @property
    def text(self) -> str:
        return (self.content or "").strip()


class System(Frozen):
    content: str


class User(Frozen):
    content: str


class Assistant(Frozen):
    """An earlier reply: content, calls or both. The arguments of its calls are valid JSON."""

    content: str | None
    tool_calls: tuple[ToolCall, ...] = ()


class ToolResult(Frozen):
    """The answer to one call of the assistant message before it."""

    call_id: str
    name: str
    content: str


ChatMessage = System | User | Assistant | ToolResult


class Model(Protocol):
    async def complete(
        self,
        history: Sequence[ChatMessage],
        tools: Sequence[ToolSpec],
        most_tokens: int | None = None,
    ) -> Completion:
        """One reply of at most `most_tokens`. The implementation retries; it raises only
        `ModelError`.
        """
