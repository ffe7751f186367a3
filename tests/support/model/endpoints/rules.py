"""What endpoints refuse, in their own words: each rule is a function from a request to a refusal.

Built from public reports (`docs/models.md`); no provider was asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.support.model.endpoints.conversation import Body, called


@dataclass(frozen=True)
class Refusal:
    status: int
    body: Any


Headers = Mapping[str, str]
Rule = Callable[[Body, Headers], Refusal | None]


def openai_error(
    message: str, param: str | None = None, code: str | None = None, status: int = 400
) -> Refusal:
    named = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Refusal(status, {"error": named})


def assistants(body: Body) -> list[Body]:
    return [it for it in body.get("messages", ()) if it["role"] == "assistant"]


def calling(body: Body) -> list[Body]:
    return [it for it in assistants(body) if it.get("tool_calls")]


# Any chat completions endpoint


def every_call_is_answered(body: Body, headers: Headers) -> Refusal | None:
    """Results follow their calls at once, under their ids; ids are unique."""
    waiting: list[str] = []
    known: set[str] = set()
    for message in body["messages"]:
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                return openai_error(
                    "Invalid parameter: messages with role 'tool' must be a response to a "
                    "preceding message with 'tool_calls'."
                )
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            return openai_error(
                "An assistant message with 'tool_calls' must be followed by tool messages "
                "responding to each 'tool_call_id'."
            )
        waiting = [call["id"] for call in message.get("tool_calls") or ()]
        if known & set(waiting):
            return openai_error("Duplicate tool call id.")
        known |= set(waiting)
    return None


def no_empty_tools(body: Body, headers: Headers) -> Refusal | None:
    if body.get("tools") == []:
        return openai_error("[] is too short - 'tools'", "tools")
    return None


# OpenAI and Azure


def no_tools_with_reasoning(body: Body, headers: Headers) -> Refusal | None:
    if body.get("tools") and body.get("reasoning_effort") != "none":
        return openai_error(
            f"Function tools with reasoning_effort are not supported for {body['model']} in "
            "/v1/chat/completions. To use function tools, use /v1/responses or set "
            "reasoning_effort to 'none'.",
            "reasoning_effort",
        )
    return None


def no_max_tokens(body: Body, headers: Headers) -> Refusal | None:
    if "max_tokens" in body:
        return openai_error(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            "max_tokens",
            "unsupported_parameter",
        )
    return None


def no_temperature(body: Body, headers: Headers) -> Refusal | None:
    if "temperature" in body:
        return openai_error(
            "Unsupported parameter: 'temperature' is not supported with this model.", "temperature"
        )
    return None


def no_effort(body: Body, headers: Headers) -> Refusal | None:
    for field in ("reasoning", "reasoning_effort"):
        if field in body:
            name = "reasoning.effort" if field == "reasoning" else field
            return openai_error(
                f"Unsupported parameter: '{name}' is not supported with this model.", name
            )
    return None


def no_system_role(body: Body, headers: Headers) -> Refusal | None:
    if any(it["role"] in {"system", "developer"} for it in body["messages"]):
        return openai_error(
            "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
            "messages[0].role",
            "unsupported_value",
        )
    return None


def only_known_message_fields(body: Body, headers: Headers) -> Refusal | None:
    known = {"role", "content", "tool_calls", "tool_call_id", "name", "refusal"}
    for index, message in enumerate(body["messages"]):
        if odd := message.keys() - known:
            name = f"messages[{index}].{min(odd)}"
            return openai_error(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
        for call in message.get("tool_calls", ()):
            if odd := call.keys() - {"id", "type", "function"}:
                name = f"messages[{index}].tool_calls[0].{min(odd)}"
                return openai_error(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    return None


def nothing_is_stored(body: Body, headers: Headers) -> Refusal | None:
    """Responses without `store`: reasoning comes back encrypted, before the calls it has led to."""
    if body.get("store") is not False:
        return openai_error("Zero data retention organisations must set `store` to false.", "store")
    reasoned = ""
    for item in body["input"]:
        kind = item.get("type", "message")
        if kind == "reasoning":
            reasoned = item.get("encrypted_content", "")
            if not reasoned.startswith("enc-"):
                return openai_error(
                    f"Item with id '{item.get('id')}' not found. Items are not persisted when "
                    "`store` is set to false.",
                    status=404,
                )
        elif kind == "function_call" and item["call_id"] not in reasoned:
            return openai_error(
                f"Item '{item.get('id')}' of type 'function_call' was provided without its "
                "required 'reasoning' item."
            )
    return None


def responses_form(body: Body, headers: Headers) -> Refusal | None:
    """The form of a request of the Responses API, and that each call has its output."""
    for name in ("messages", "max_tokens", "max_completion_tokens", "reasoning_effort"):
        if name in body:
            return openai_error(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    for index, tool in enumerate(body.get("tools", ())):
        if "name" not in tool:
            return openai_error(f"Missing required parameter: 'tools[{index}].name'.")
        if tool.get("strict") is not False:
            return openai_error(
                f"Invalid schema for function '{tool['name']}': In context=(), "
                "'additionalProperties' is required to be supplied and to be false."
            )
    made = [it["call_id"] for turn in called(body) for it in turn]
    done = [it["call_id"] for it in body["input"] if it.get("type") == "function_call_output"]
    if open_calls := set(made) - set(done):
        return openai_error(f"No tool output found for function call {min(open_calls)}.")
    if strange := set(done) - set(made):
        return openai_error(
            f"No tool call found for function call output with call_id {min(strange)}."
        )
    return None


def no_encrypted_reasoning(body: Body, headers: Headers) -> Refusal | None:
    if body.get("include"):
        return openai_error("Encrypted content is not supported with this model.", "include")
    return None


def deployment_address(body: Body, headers: Headers) -> Refusal | None:
    """Azure's classic address: an `api-key` header, and a version in the query."""
    if headers.get("api-key") != "key" or "authorization" in headers:
        wrong = "Access denied due to invalid subscription key or wrong API endpoint."
        return Refusal(401, {"error": {"code": "401", "message": wrong}})
    if "api-version=2024-10-21" not in headers["x-query"]:
        return Refusal(404, {"error": {"code": "404", "message": "Resource not found"}})
    return None


# Others


def signatures_come_back(place: str) -> Rule:
    """Gemini: the first call of each turn has the signature that it came with."""

    def rule(body: Body, headers: Headers) -> Refusal | None:
        for turn, message in enumerate(calling(body)):
            extra = message["tool_calls"][0].get("extra_content", {})
            if extra.get(place, {}).get("thought_signature") != f"signature-{turn}":
                name = message["tool_calls"][0]["function"]["name"]
                wrong = (
                    "Function call is missing a thought_signature in functionCall parts. This is "
                    "required for tools to work correctly. Additional data, function call "
                    f"`default_api:{name}`, position 2."
                )
                error = {"code": 400, "message": wrong, "status": "INVALID_ARGUMENT"}
                return Refusal(400, [{"error": error}])
        return None

    return rule


def comes_back(field: str, words: str) -> Rule:
    """A field of a message with calls that has to come back as it was."""

    def rule(body: Body, headers: Headers) -> Refusal | None:
        for turn, message in enumerate(calling(body)):
            if f"thought-{turn}" not in str(message.get(field)):
                return openai_error(words)
        return None

    return rule


def ids_of_nine_characters(body: Body, headers: Headers) -> Refusal | None:
    for message in calling(body):
        for call in message["tool_calls"]:
            if not re.fullmatch("[a-zA-Z0-9]{9}", call["id"]):
                wrong = (
                    f"Tool call id was {call['id']} but must be a-z, A-Z, 0-9, with a length of 9."
                )
                return _mistral(wrong, "invalid_function_call", "3280")
    return None


def no_user_after_tool(body: Body, headers: Headers) -> Refusal | None:
    roles = [it["role"] for it in body["messages"]]
    if ("tool", "user") in pairwise(roles):
        wrong = "Unexpected role 'user' after role 'tool'"
        return _mistral(wrong, "invalid_request_message_order", "3230")
    return None


def _mistral(message: str, kind: str, code: str) -> Refusal:
    error = {"object": "error", "message": message, "type": kind, "param": None, "code": code}
    return Refusal(400, error)


def roles_alternate(words: str) -> Rule:
    """A chat template that renders one system message, first, and then texts in turns."""

    def rule(body: Body, headers: Headers) -> Refusal | None:
        roles = [it["role"] for it in body["messages"]]
        texts = [it["role"] for it in body["messages"] if not it.get("tool_calls")]
        turns = [it for it in texts if it in {"user", "assistant"}]
        if (
            "system" not in roles[1:]
            and turns[:1] == ["user"]
            and all(one != other for one, other in pairwise(turns))
        ):
            return None
        return Refusal(500, {"error": {"code": 500, "message": words, "type": "server_error"}})

    return rule


def no_null_content(error: Any) -> Rule:
    def rule(body: Body, headers: Headers) -> Refusal | None:
        if any(it.get("content", "") is None for it in body["messages"]):
            return Refusal(400, error)
        return None

    return rule


def no_white_space_or_empty_text(body: Body, headers: Headers) -> Refusal | None:
    for message in body["messages"]:
        text = message.get("content")
        if text is not None and not text.strip():
            return openai_error("messages: text content blocks must be non-empty")
        if message["role"] == "assistant" and text and text != text.rstrip():
            return openai_error(
                "messages: final assistant content cannot end with trailing whitespace"
            )
    return None


def tools_are_listed_with_calls(body: Body, headers: Headers) -> Refusal | None:
    if calling(body) and not body.get("tools"):
        wrong = (
            "The toolConfig field must be defined when using toolUse and toolResult content blocks."
        )
        return openai_error(wrong)
    return None


def no_tool_choice(body: Body, headers: Headers) -> Refusal | None:
    if "tool_choice" in body:
        return openai_error("This model doesn't support the tool_choice field.", "tool_choice")
    return None


def no_thinking_in_history(body: Body, headers: Headers) -> Refusal | None:
    """Not a refusal of any endpoint: what a model has thought would be read as what it said."""
    if "<think>" in str(body["messages"]):
        return openai_error("messages contain <think>")
    return None


def properties_are_known(body: Body, headers: Headers) -> Refusal | None:
    """Groq, about a message's fields."""
    for index, message in enumerate(body["messages"]):
        if odd := message.keys() - {"role", "content", "tool_calls", "tool_call_id", "name"}:
            return openai_error(
                f"'messages.{index}' : for 'role:{message['role']}' the following must be "
                f"satisfied[('messages.{index}' : property '{min(odd)}' is unsupported)]"
            )
    return None
