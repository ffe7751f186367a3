"""What a run of a session is shown of the ones before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.agent.llm.chat import Assistant, ChatMessage, User

WOKEN = "You have been woken up. Do now what your instructions say."


def recalled(exchanges: Sequence[tuple[str, str]]) -> Iterator[ChatMessage]:
    """Each earlier task as the user's message, its answer as the model's own."""
    for asked, answered in exchanges:
        yield User(content=asked or WOKEN)
        yield Assistant(content=answered)
