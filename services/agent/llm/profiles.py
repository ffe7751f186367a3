"""Differences between endpoints in the few request fields that the loop sends.

Some models refuse temperature, top_p, parallel_tool_calls, tool_choice or strict, so none of
these is ever sent. A limit of output tokens is sent only if a budget requires one, a reasoning
effort only if the endpoint refuses tools without one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.definitions.functions import JsonObject

_OPENAI = re.compile(r"//[^/]*\bopenai\.(azure\.)?com\b")
_OLLAMA = re.compile(r":11434\b|ollama")

OUTPUT_LIMITS = ("max_completion_tokens", "max_tokens")
NO_REASONING: JsonObject = {"reasoning_effort": "none"}


@dataclass(frozen=True)
class Profile:
    null_content: bool
    """Whether a reply that only called tools is sent back with `content: null` or with `""`."""
    output_limit: str
    """The field's name: OpenAI's newer models refuse the old one, others ignore the new one."""


def profile(base_url: str) -> Profile:
    return Profile(
        null_content=not _OLLAMA.search(base_url),
        output_limit="max_completion_tokens" if _OPENAI.search(base_url) else "max_tokens",
    )
