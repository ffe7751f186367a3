"""The first messages of a run's conversation, derived only from the frozen inputs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.agent.llm.chat import Assistant, ChatMessage, System, User
from shared.contract.messages import Task, Trigger
from shared.contract.prompts import WOKEN, dated, quoted, system_text
from shared.definitions.knowledge import SEARCH_KNOWLEDGE


def opening_messages(
    preamble: str,
    notes: Sequence[str],
    now: datetime,
    exchanges: Sequence[tuple[str, str]],
    message: Task | Trigger,
    passages: str = "",
    *,
    quotes: bool = False,
) -> list[ChatMessage]:
    """The system message, the session's earlier `exchanges`, and the user's message.

    What differs between runs comes after what doesn't, so that endpoints can cache the longest
    prefix: the notes are after the preamble, and `passages` of documents and the time at the end.
    `quotes`: whether quoted text can come into the conversation.
    """
    system = system_text(preamble, notes, quotes=quotes)
    messages: list[ChatMessage] = [System(content=system)] if system else []
    for asked, answered in exchanges:
        messages += [User(content=asked or WOKEN), Assistant(content=answered)]
    found = quoted(SEARCH_KNOWLEDGE, passages) if passages else ""
    asked = "\n\n".join(filter(None, [message.prompt or WOKEN, found]))
    return [*messages, User(content=dated(asked, now))]
