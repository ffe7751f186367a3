"""What the first call needs, prepared once for all processes that are forked afterwards.

No client is made here: on macOS a client asks the system for proxies, which a process can't do on
both sides of a fork.
"""

from __future__ import annotations

import importlib
import ssl

IMPORTED_LATE = (
    *("openai.resources.chat.completions.completions", "openai.resources.responses.responses"),
    *("httpcore2", "h11", "anyio._backends._asyncio", "truststore"),
    "services.agent.llm.transport",
)
"""Imported at the first call otherwise."""


def preload() -> None:
    """Import these modules, and initialise TLS. Starts no thread, and opens no connection."""
    for name in IMPORTED_LATE:
        importlib.import_module(name)
    ssl.create_default_context()
