"""A chat completion request as the script needs it: the task, the turn and the results."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, Field, JsonValue

from services.scripted.directives import Directives, directives_for, parse
from shared.contract import prompts

Schema = dict[str, JsonValue]

_SYSTEM = ("system", "developer")


class Function(BaseModel):
    name: str
    parameters: Schema = {}
    arguments: str = "{}"


class Tool(BaseModel):
    function: Function


class ToolCall(BaseModel):
    id: str = ""
    function: Function


class Message(BaseModel):
    role: str
    content: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None


class JsonSchema(BaseModel):
    body: Schema = Field(default={}, alias="schema")


class ResponseFormat(BaseModel):
    type: str
    json_schema: JsonSchema | None = None


class StreamOptions(BaseModel):
    include_usage: bool = False


class Request(BaseModel):
    """The fields of a request that the scripted model reads; others are ignored."""

    model: str = ""
    messages: list[Message] = Field(min_length=1)
    tools: list[Tool] = []
    tool_choice: JsonValue = None
    response_format: ResponseFormat | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None

    @property
    def limit(self) -> int | None:
        """The most tokens that the reply may have, under the field's new or old name."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens


@dataclass(frozen=True)
class Conversation:
    """`asked` is the last user message without directives; `turn` is the number of the model's
    turns since then; `results` has the last result of each tool in the whole conversation;
    `answered` is the latest answer that a tick lists."""

    system: str
    asked: str
    turn: int
    directives: Directives
    tools: dict[str, Schema]
    results: dict[str, str]
    notes: dict[str, str]
    by_schema: bool
    answered: str = ""


def read(request: Request) -> Conversation:
    """The conversation of a request. Raises `BadMessage` for an invalid directive in its text."""
    choices = _choices(request.response_format)
    messages = _as_native(request.messages)
    asked_at = _asked_at(messages)
    since = messages[asked_at + 1 :]
    text = prompts.undated(messages[asked_at].content or "") if asked_at >= 0 else ""
    request_text, finished = prompts.split_tick(text)
    asked, parts = parse(request_text)  # the directives in tasks that have finished are over
    turn = sum(message.role == "assistant" for message in since)
    system = "\n".join(message.content or "" for message in messages if message.role in _SYSTEM)
    offered = {tool.function.name: tool.function.parameters for tool in request.tools}
    return Conversation(
        system=system,
        asked=f"{asked}\n{finished}" if finished else asked,
        turn=turn,
        directives=directives_for(parts, turn),
        tools=({} if request.tool_choice == "none" else offered) if choices is None else choices,
        results=_results(messages),
        notes=prompts.notes_by_peer(system),
        by_schema=choices is not None,
        answered=prompts.latest_answer(finished),
    )


def _asked_at(messages: list[Message]) -> int:
    """The place of the last user message; -1 if there is none."""
    places = [place for place, message in enumerate(messages) if message.role == "user"]
    return places[-1] if places else -1


def _results(messages: list[Message]) -> dict[str, str]:
    """The last result of each tool. Calls without an id are matched by their order."""
    results: dict[str, str] = {}
    waiting: list[ToolCall] = []
    for message in messages:
        waiting += message.tool_calls or []
        if message.role == "tool" and waiting:
            ids = [call.id for call in waiting]
            known = message.tool_call_id in ids
            call = waiting.pop(ids.index(message.tool_call_id or "") if known else 0)
            results[call.function.name] = prompts.unquoted(message.content or "")
    return results


def _choices(form: ResponseFormat | None) -> dict[str, Schema] | None:
    """The tools that the response's schema lets the model choose from, by name; None without one.

    The schema is a choice between objects whose `action` is "answer" or a tool's name. Any other
    schema is that of an answer, which the scripted model does not read.
    """
    if form is None or form.json_schema is None:
        return None
    found: dict[str, Schema] = {}
    schema = form.json_schema.body
    branches = schema.get("anyOf") or schema.get("oneOf") or [schema]
    for branch in branches if isinstance(branches, list) else []:
        fields = branch.get("properties") if isinstance(branch, dict) else None
        if isinstance(fields, dict) and (name := _only(fields.get("action"))):
            arguments = fields.get("arguments")
            shared = {"$defs": schema.get("$defs", {})}
            found[name] = shared | (arguments if isinstance(arguments, dict) else {})
    return found if found.pop("answer", None) is not None else None


def _only(action: JsonValue) -> str:
    """The one value that `{"const": x}` or `{"enum": [x]}` allows."""
    if not isinstance(action, dict):
        return ""
    values = action.get("enum")
    return str(action.get("const") or (values[0] if isinstance(values, list) else ""))


def _as_native(messages: list[Message]) -> list[Message]:
    """The messages, with each text that chose a tool, and the message after it, turned into a tool
    call and its result.

    So conversations of `tool_protocol: schema`, which are plain text, are read like native ones.
    """
    native: list[Message] = []
    for message in messages:
        before = native[-1] if native else None
        if message.role == "assistant" and (tool := prompts.called_tool(message.content or "")):
            call = ToolCall(function=Function(name=tool))
            native.append(Message(role="assistant", tool_calls=[call]))
        elif message.role == "user" and before and before.tool_calls:
            content = prompts.result_content(message.content or "")
            native.append(Message(role="tool", content=content))
        else:
            native.append(message)
    return native
