"""What is said between the loop and a model, whatever the endpoint behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol

from pydantic import BeforeValidator, JsonValue
from pydantic_core import from_json, to_json

from shared.contract.messages import Frozen, Usage
from shared.definitions.functions import JsonObject, sanitised
from shared.errors import ToolError


def storable(text: object) -> object:
    """Half a surrogate pair (an emoji cut in two) has no UTF-8, and no database takes a NUL."""
    if not isinstance(text, str):
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "")


Text = Annotated[str, BeforeValidator(storable)]
"""Text from outside, made fit for UTF-8 and for a database."""


class ToolSpec(Frozen):
    """What a model is told of a tool; `parameters` is a JSON schema.

    Not told: whether a call may be made twice, which the run must know.
    """

    name: str
    description: str
    parameters: JsonObject
    repeatable: bool = False


class ToolCall(Frozen):
    """A call as the model made it: the id may be empty or repeated, the arguments no JSON."""

    id: Text = ""
    name: Text
    arguments: Text = ""

    def parsed(self) -> JsonObject:
        """The arguments; none at all is an empty object, as is a text that holds an object.

        Raises `ToolError` for anything else.
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
        """The call under our id; endpoints refuse a history with odd names or broken JSON."""
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
    def said(self) -> str:
        return (self.content or "").strip()


class System(Frozen):
    content: str


class User(Frozen):
    content: str


class Assistant(Frozen):
    """An earlier reply: it has content, or calls, or both; its calls' arguments are JSON."""

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
        """One reply, of at most `most_tokens`; retries are done inside.

        Raises `ModelError` and nothing else.
        """
