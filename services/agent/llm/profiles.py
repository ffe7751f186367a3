"""What differs between models in the little that the loop sends.

Never sent, because some model refuses each: temperature, top_p, parallel_tool_calls,
tool_choice, strict. A limit of output tokens is sent only where a budget asks for one, a
reasoning effort only where an endpoint refuses tools without one.
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
    """Whether a reply that only called tools goes back with `content: null`, or with `""`."""
    output_limit: str
    """OpenAI's newer models refuse the old name; some other endpoints don't read the new one."""


def profile(base_url: str) -> Profile:
    return Profile(
        null_content=not _OLLAMA.search(base_url),
        output_limit="max_completion_tokens" if _OPENAI.search(base_url) else "max_tokens",
    )
