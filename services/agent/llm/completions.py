"""Requests in the chat completions format, as endpoints want them."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from services.agent.llm.chat import Assistant, ChatMessage, System, ToolCall, ToolResult, ToolSpec
from services.agent.llm.profiles import NO_REASONING, OUTPUT_LIMITS, Profile
from shared.definitions.functions import JsonObject


def offered(tools: Sequence[ToolSpec]) -> JsonObject:
    """The field that offers tools; none without tools: some endpoints refuse an empty list."""
    functions: list[JsonValue] = [
        {"type": "function", "function": tool.model_dump(mode="json", exclude={"repeatable"})}
        for tool in tools
    ]
    return {"tools": functions} if functions else {}


def limited(most_tokens: int | None, profile: Profile) -> JsonObject:
    """The field that limits a reply's length, under the name that the endpoint should read."""
    return {} if most_tokens is None else {profile.output_limit: most_tokens}


def instead(fields: JsonObject, refusal: str, profile: Profile) -> JsonObject | None:
    """What to send where an endpoint refuses these fields and names one; None: nothing is known.

    A limit: it may know the other name only; or it refuses any number beyond what its model can
    say, and then the model's own limit is the lower one. Tools: OpenAI's gpt-5.4 to 5.6 take none
    with reasoning.
    """
    if "reasoning_effort" in refusal and "tools" in fields and "reasoning_effort" not in fields:
        return fields | NO_REASONING
    for name in OUTPUT_LIMITS:
        if name in fields and any(it in refusal for it in OUTPUT_LIMITS):
            rest = {key: value for key, value in fields.items() if key != name}
            (other,) = set(OUTPUT_LIMITS) - {name}
            return rest | {other: fields[name]} if name == profile.output_limit else rest
    return None


def message(said: ChatMessage, profile: Profile) -> JsonObject:
    match said:
        case ToolResult():
            return {"role": "tool", "tool_call_id": said.call_id, "content": said.content}
        case Assistant(tool_calls=()):
            return {"role": "assistant", "content": said.content}
        case Assistant():
            content = said.content or (None if profile.null_content else "")
            calls: list[JsonValue] = [_call(call) for call in said.tool_calls]
            return {"role": "assistant", "content": content, "tool_calls": calls}
        case System():
            return {"role": "system", "content": said.content}
    return {"role": "user", "content": said.content}


def _call(call: ToolCall) -> JsonObject:
    function: JsonObject = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}
