"""What differs between models in the little that the loop sends.

Never sent, because some model refuses each: temperature, top_p, max_tokens,
parallel_tool_calls, tool_choice, strict.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_OLLAMA = re.compile(r":11434\b|ollama")


@dataclass(frozen=True)
class Profile:
    null_content: bool
    """Whether a reply that only called tools goes back with `content: null`, or with `""`."""


def profile(base_url: str) -> Profile:
    return Profile(null_content=not _OLLAMA.search(base_url))
