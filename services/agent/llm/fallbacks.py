"""Changes after a refusal: each row changes fields of the endpoint's profile for the next request.

A row applies if the refusal contains its words and the request the field that the row changes. No
request is sent twice, so the changes come to an end. Those that helped are remembered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from services.agent.llm.errors import Filtered
from shared.definitions.functions import JsonObject
from shared.errors import ModelError


@dataclass(frozen=True)
class Fallback:
    words: re.Pattern[str]
    """Words of the refusal."""
    sent: Callable[[JsonObject], bool]
    """Whether the request holds what the change would take out or replace."""
    change: Mapping[str, object]
    """Fields of the profile and their new values."""
    lasting: bool = True
    """False: for this request only, as a shorter one could be taken with the field."""


def _row(
    words: str,
    sent: str | Callable[[JsonObject], bool],
    *,
    lasting: bool = True,
    **change: object,
) -> Fallback:
    has = sent if callable(sent) else lambda body: sent in body
    return Fallback(re.compile(words, re.IGNORECASE), has, change, lasting)


def _messages(body: JsonObject) -> list[JsonObject]:
    messages = body.get("messages")
    return [it for it in messages if isinstance(it, dict)] if isinstance(messages, list) else []


def _null_content(body: JsonObject) -> bool:
    return any(it.get("content", "") is None for it in _messages(body))


def _kept_fields(body: JsonObject) -> bool:
    plain = {"role", "content", "tool_calls", "tool_call_id"}
    return any(it.keys() - plain or "extra_" in str(it) for it in _messages(body))


FALLBACKS = (
    _row(
        "reasoning_effort",
        lambda body: "tools" in body and body.get("reasoning_effort") != "none",
        tools_effort="none",
    ),
    _row(
        r"reasoning(?!_(content|details|opaque))",
        lambda body: "reasoning" in body or "reasoning_effort" in body,
        effort=False,
        tools_effort=None,
    ),
    _row("max_(completion_)?tokens", "max_tokens", output_limit="max_completion_tokens"),
    _row("max_(completion_)?tokens", "max_completion_tokens", output_limit="max_tokens"),
    _row(
        "max_(completion_|output_)?tokens",
        lambda body: any("max_" in key for key in body),
        output_limit=None,
        lasting=False,
    ),
    _row("temperature", "temperature", temperature=False),
    _row("tool_choice", "tool_choice", idle_tools="offered"),
    _row("tool", lambda body: "tools" not in body, idle_tools="choice_none"),
    _row("stream_options", "stream_options", stream_usage=False),
    _row(r"\bstream\b", lambda body: body.get("stream") is False, stream_false=False),
    _row("reasoning_|extra_content", _kept_fields, kept_message=(), kept_calls=()),
    _row("content|null", _null_content, null_content=False),
    _row("alternat|role '?user'? after", "messages", user_after_tool=False),
    _row("role.{0,60}system|system.{0,60}role", "messages", system_role=False),
    _row("encrypted|include", "include", encrypted_reasoning=False),
    _row(r"v1/responses|not a chat model", "messages", wire="responses"),
    _row(r"answered (404|405|501)(?!.*model)", "input", wire="chat"),
)


def fallbacks(body: JsonObject, error: ModelError) -> Iterator[Fallback]:
    """The rows that apply to a refused request, the likeliest first."""
    if error.reason == "refused" and not isinstance(error, Filtered):
        yield from (it for it in FALLBACKS if it.words.search(str(error)) and it.sent(body))
