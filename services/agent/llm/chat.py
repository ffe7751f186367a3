"""The conversation between the loop and a model, independent of any endpoint's format."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

from pydantic import BeforeValidator, Field, JsonValue
from pydantic_core import from_json, to_json

from shared.contract.messages import Frozen, Usage
from shared.contract.rows import storable
from shared.definitions.approval import ApprovalRule
from shared.definitions.functions import JsonObject
from shared.definitions.tools.choice import sanitised
from shared.errors import ToolError

Text = Annotated[
    str, BeforeValidator(lambda value: storable(value) if isinstance(value, str) else value)
]
"""Text from outside, cleaned by `storable`."""


def _whole_characters(value: object) -> object:
    """The same JSON value without half surrogate pairs; NULs stay, as JSON text escapes them."""
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    return json.loads(text, parse_constant=lambda _: None)  # no JSON text holds NaN


_Verbatim = Annotated[JsonObject, BeforeValidator(_whole_characters)]


def _is_empty(value: object) -> bool:
    """Empty fields are left out of the journal: earlier versions can read the rest."""
    return not value


class ToolSpec(Frozen):
    """A tool as it is offered to a model; `parameters` is a JSON schema.

    `repeatable` and `approval` are not sent: they tell the run whether a call may be made twice,
    and which calls a person must approve.
    """

    name: str
    description: str
    parameters: JsonObject
    repeatable: bool = False
    approval: ApprovalRule | None = Field(default=None, exclude_if=_is_empty)


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


class Kept(Frozen):
    """The parts of a reply that only its endpoint understands and that it wants back unchanged.

    `origin` names endpoint and model: any other model gets the history without these parts.
    """

    origin: Text
    message: _Verbatim = Field(default={}, exclude_if=_is_empty)
    """Fields beside content and calls, such as `reasoning_content`."""
    calls: tuple[_Verbatim, ...] = Field(default=(), exclude_if=_is_empty)
    """For each call in order, the fields beside its id, name and arguments."""
    items: tuple[_Verbatim, ...] = Field(default=(), exclude_if=_is_empty)
    """The whole reply as the Responses API gave it: its reasoning refers to its calls."""


class Completion(Frozen):
    """One reply of a model. `usage` counts the requests that were answered, normally one."""

    content: Text | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: Text | None = None
    refusal: Text | None = None
    usage: Usage = Usage(model_calls=1)
    model: Text | None = None
    kept: Kept | None = Field(default=None, exclude_if=_is_empty)
    exhausted_s: float | None = Field(default=None, exclude=True)
    """Seconds for which the endpoint takes no other request, if it says so; not in the journal."""

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
    kept: Kept | None = None


class ToolResult(Frozen):
    """The answer to one call of the assistant message before it."""

    call_id: str
    name: str
    content: str
    denied: bool = False
    """The call was not made: the text is Hutch's and a person's, and the model may follow it."""


ChatMessage = System | User | Assistant | ToolResult


OnRetry = Callable[[BaseException | None], None]


def ignore_retry(_: BaseException | None) -> None:
    """The default for `Request.on_retry`."""


@dataclass(frozen=True)
class Request:
    """What a model is asked for one reply."""

    history: Sequence[ChatMessage] = ()
    tools: Sequence[ToolSpec] = ()
    most_tokens: int | None = None
    """The longest reply, reasoning included."""
    call_tools: bool = True
    """False: no tool may be called. `tools` are still those of the calls in the history, as some
    endpoints refuse a history of calls to tools that the request does not list.
    """
    answer_schema: JsonObject | None = None
    """The JSON schema of an answer that is JSON. The answer can violate it: it is not checked."""
    strict_answer: bool = True
    """False if the schema has a part that no strict schema can have, such as an open map."""
    on_retry: OnRetry = ignore_retry
    """Called with the error of each attempt after which the request is sent again."""
    retry_rate_limits: bool = True
    """False: the call ends at once when the endpoint refuses it because of a rate limit."""


OnText = Callable[[str], None]
"""Receives an answer's text piece by piece as it comes. A call with an empty text means that the
reply begins again: all pieces before it are void.
"""


class Model(Protocol):
    async def complete(self, request: Request, on_text: OnText | None = None) -> Completion:
        """One reply. The implementation retries; it raises only `ModelError`.

        Only with `on_text` the reply is streamed. The completion is the same either way; pieces
        that were passed on before an error belong to no completion.
        """
