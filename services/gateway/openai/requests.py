"""The requests of OpenAI's clients. Fields that are not here are accepted and change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from services.gateway.openai.conversation import Message, Part, text_of
from services.gateway.openai.wire.errors import unsupported
from shared.contract.rows import storable
from shared.definitions.model import Definition

Flag = Annotated[bool, BeforeValidator(lambda given: False if given is None else given)]
"""False if it is null, which some clients send."""

Text = Annotated[str, AfterValidator(storable)]
"""A text that goes back to the client: JavaScript can cut a character into halves."""

NO_TOOLS = (
    "an agent calls its own tools and workers, never those of a client: leave tool_choice out"
)
NO_FORMAT = (
    "the form of an answer is the agent's own: give the agent an `output` in its file, "
    "or leave the response format out"
)


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class ChatMessage(_Lenient):
    role: str
    content: str | list[Part] | None = None


class StreamOptions(_Lenient):
    include_usage: Flag = False


class Format(_Lenient):
    type: str = "text"


class ChatRequest(_Lenient):
    """A request for a chat completion, as far as agents read it. All else is ignored, see
    docs/openai.md."""

    model: str = Field(description="the agent's name", examples=["alice"])
    messages: list[ChatMessage] = Field(
        min_length=1, examples=[[{"role": "user", "content": "Write a test email."}]]
    )
    stream: Flag = False
    stream_options: StreamOptions | None = None
    n: int | None = None
    tool_choice: JsonValue = None
    response_format: Format | None = None

    @property
    def streamed(self) -> bool:
        return self.stream

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    def read(self, agent: Definition | None) -> Sequence[Message]:
        """The messages; raises 400 for what no answer could satisfy."""
        if self.n not in {None, 1}:
            raise unsupported("n", "an agent gives one answer: leave n out")
        _check(agent, self.tool_choice, "response_format", self.response_format)
        return [
            Message(it.role, text_of(it.content, f"messages.{place}.content"))
            for place, it in enumerate(self.messages)
        ]


class InputItem(_Lenient):
    type: str = "message"
    role: str = "user"
    content: str | list[Part] | None = None
    output: str | list[Part] | None = None


class ConversationName(_Lenient):
    id: Text


class TextOptions(_Lenient):
    format: Format | None = None


class ResponsesRequest(_Lenient):
    """A request for a response, as far as agents read it. All else is ignored, see
    docs/openai.md."""

    model: str = Field(description="the agent's name", examples=["alice"])
    input: str | list[InputItem] = Field(examples=["Write a test email."])
    instructions: Text | None = None
    previous_response_id: str | None = Field(default=None, min_length=1)
    conversation: Text | ConversationName | None = None
    stream: Flag = False
    background: Flag = False
    store: bool | None = None
    metadata: dict[Text, Text] | None = None
    tool_choice: JsonValue = None
    text: TextOptions | None = None

    @property
    def streamed(self) -> bool:
        """A client can follow a response in the background later."""
        return self.stream or self.background

    @property
    def session(self) -> str | None:
        """The name of the conversation."""
        given = self.conversation
        return given.id if isinstance(given, ConversationName) else given

    def read(self, agent: Definition | None) -> Sequence[Message]:
        """The messages; raises 400 for what no answer could satisfy."""
        _check(agent, self.tool_choice, "text.format", self.text.format if self.text else None)
        first = [Message("system", self.instructions)] if self.instructions else []
        if isinstance(self.input, str):
            return [*first, Message("user", self.input)]
        return [*first, *(it for place, item in enumerate(self.input) for it in _read(item, place))]


def _read(item: InputItem, place: int) -> Sequence[Message]:
    """The message of an item; items of other types, such as reasoning, have none."""
    if item.type == "message":
        return [Message(item.role, text_of(item.content, f"input.{place}.content"))]
    if item.type == "function_call_output":
        return [Message("tool", text_of(item.output, f"input.{place}.output"))]
    return []


_FREE: tuple[JsonValue, ...] = (None, "auto", "none")


def _check(
    agent: Definition | None, tool_choice: JsonValue, place: str, form: Format | None
) -> None:
    """Refuse a request whose client would wait in vain for a call, or for JSON."""
    if tool_choice not in _FREE:
        raise unsupported("tool_choice", NO_TOOLS)
    has_own = agent is not None and agent.output is not None
    if form is not None and form.type != "text" and not has_own:
        raise unsupported(place, NO_FORMAT)
