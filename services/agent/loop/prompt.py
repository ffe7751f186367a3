"""The first messages of a run's conversation, derived only from the frozen inputs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.agent.llm.chat import Assistant, ChatMessage, System, User
from shared.contract.messages import Task, Trigger
from shared.contract.prompts import WOKEN, dated, system_text


def opening_messages(
    preamble: str,
    notes: Sequence[str],
    now: datetime,
    exchanges: Sequence[tuple[str, str]],
    message: Task | Trigger,
    passages: str = "",
) -> list[ChatMessage]:
    """The system message, the session's earlier `exchanges`, and the user's message.

    What differs between runs comes after what doesn't, so that endpoints can cache the longest
    prefix: the notes are after the preamble, and `passages` of documents and the time at the end.
    """
    system = system_text(preamble, notes)
    messages: list[ChatMessage] = [System(content=system)] if system else []
    for asked, answered in exchanges:
        messages += [User(content=asked or WOKEN), Assistant(content=answered)]
    asked = "\n\n".join(filter(None, [message.prompt or WOKEN, passages]))
    return [*messages, User(content=dated(asked, now))]
