"""The Responses API in terms of chat completions: requests become those, and completions replies.

Each reply with calls has a reasoning item, as those of reasoning models have. Its encrypted content
is the same for the same request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from pydantic import BaseModel, Field, JsonValue

from services.scripted.conversation import Request, Schema

Wire = dict[str, object]


class Item(BaseModel):
    """Any item of an input; each type uses some of the fields."""

    type: str = "message"
    role: str = "user"
    content: JsonValue = None
    call_id: str = ""
    name: str = ""
    arguments: str = "{}"
    output: JsonValue = None
    encrypted_content: str | None = None


class Tool(BaseModel):
    name: str
    parameters: Schema = {}


class Format(BaseModel):
    type: str = "text"
    body: Schema = Field(default={}, alias="schema")


class Text(BaseModel):
    format: Format = Format()


class ResponsesRequest(BaseModel):
    """What the scripted model reads of a request; all else is let pass."""

    model: str = ""
    instructions: str | None = None
    input: str | list[Item]
    tools: list[Tool] = []
    tool_choice: JsonValue = None
    text: Text = Text()
    max_output_tokens: int | None = None
    stream: bool = False

    def as_chat(self) -> Request:
        system = [_said("system", self.instructions)] if self.instructions else []
        fields: Wire = {
            "model": self.model,
            "messages": [*system, *_messages(self.input)],
            "tools": [{"function": tool.model_dump()} for tool in self.tools],
            "tool_choice": self.tool_choice,
            "max_completion_tokens": self.max_output_tokens,
            "stream": self.stream,
        }
        if self.text.format.type == "json_schema":
            schema = {"schema": self.text.format.body}
            fields["response_format"] = {"type": "json_schema", "json_schema": schema}
        return Request.model_validate(fields)


def _messages(items: str | list[Item]) -> list[Wire]:
    """One message an item; calls are part of the model's message before them."""
    if isinstance(items, str):
        return [_said("user", items)]
    messages: list[Wire] = []
    for item in items:
        match item.type:
            case "function_call":
                function = {"name": item.name, "arguments": item.arguments}
                call = {"id": item.call_id, "function": function}
                if not messages or messages[-1]["role"] != "assistant":
                    messages.append({"role": "assistant", "tool_calls": []})
                calls = messages[-1].setdefault("tool_calls", [])
                assert isinstance(calls, list)
                calls.append(call)
            case "function_call_output":
                said = _said("tool", item.output)
                messages.append(said | {"tool_call_id": item.call_id})
            case "message":
                messages.append(_said(item.role, item.content))
            case kind:  # reasoning: shown in the log, read by no rule
                messages.append(_said(kind, item.encrypted_content))
    return messages


def _said(role: str, content: JsonValue) -> Wire:
    if isinstance(content, list):
        parts = (it.get("text") for it in content if isinstance(it, dict))
        content = "".join(it for it in parts if isinstance(it, str))
    return {"role": role, "content": content if isinstance(content, str) else None}


def response(completion: Wire) -> Wire:
    """A chat completion as a response."""
    choices, usage = completion["choices"], completion["usage"]
    assert isinstance(choices, list)
    assert isinstance(usage, dict)
    (choice,) = choices
    cut = choice["finish_reason"] == "length"
    key = str(completion["id"])
    return {
        "id": f"resp_{key}",
        "object": "response",
        "created_at": completion["created"],
        "model": completion["model"],
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "error": None,
        "output": list(_output(choice["message"], key)),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage["total_tokens"],
        },
    }


def _output(message: Wire, key: str) -> Iterator[Wire]:
    calls = message.get("tool_calls") or []
    assert isinstance(calls, list)
    if calls:
        sealed = hashlib.sha256(key.encode()).hexdigest()
        ident: Wire = {"type": "reasoning", "id": f"rs_{key}", "summary": []}
        yield ident | {"encrypted_content": sealed}
    refusal, text = message.get("refusal"), message.get("content")
    part: Wire | None = None
    if refusal:
        part = {"type": "refusal", "refusal": refusal}
    elif text or not calls:
        part = {"type": "output_text", "text": text or "", "annotations": [], "logprobs": []}
    if part:
        ident = {"type": "message", "id": f"msg_{key}", "role": "assistant"}
        yield ident | {"status": "completed", "content": [part]}
    for call in calls:
        function = call["function"]
        yield {
            "type": "function_call",
            "id": f"fc_{call['id']}",
            "call_id": call["id"],
            "name": function["name"],
            "arguments": function["arguments"],
            "status": "completed",
        }
