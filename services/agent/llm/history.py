"""The conversation in the form that an endpoint's profile asks for, whatever the wire."""

from __future__ import annotations

from collections.abc import Sequence

from services.agent.llm.chat import Assistant, ChatMessage, System, ToolResult, User
from shared.definitions.models.profiles import Profile

EMPTY = "(empty)"
"""For the result of a tool that returned no text: some endpoints refuse empty ones."""


def fitted(history: Sequence[ChatMessage], profile: Profile) -> list[ChatMessage]:
    """The history with roles that alternate and without empty texts or white space at an end.

    It is the same for the same history, so that endpoints can cache it.
    """
    messages: list[ChatMessage] = []
    system: list[str] = []
    for message in history:
        if isinstance(message, System) and not profile.system_role:
            system.append(message.content)
        elif (said := _trimmed(message)) is not None:
            last = messages[-1] if messages else None
            joined = None if last is None else _joined(last, said, profile)
            if joined is None:
                messages.append(said)
            else:
                messages[-1] = joined
    if system:
        first = messages[0] if messages else None
        if isinstance(first, User):
            messages[0] = User(content="\n\n".join([*system, first.content]))
        else:
            messages.insert(0, User(content="\n\n".join(system)))
    return messages


def _trimmed(message: ChatMessage) -> ChatMessage | None:
    """The message without white space at its end; None if nothing is left of it."""
    text = (message.content or "").rstrip()
    if isinstance(message, ToolResult):
        text = text or EMPTY
    if not text and not (isinstance(message, Assistant) and message.tool_calls):
        return None
    unchanged = text == (message.content or "")
    return message if unchanged else message.model_copy(update={"content": text})


def _joined(last: ChatMessage, message: ChatMessage, profile: Profile) -> ChatMessage | None:
    """Both as one message, where an endpoint would refuse the second after the first."""
    match last, message:
        case (System(), System()) | (User(), User()) | (Assistant(tool_calls=()), Assistant()):
            content = "\n\n".join(filter(None, (last.content, message.content)))
            kept = message if isinstance(message, Assistant) else last
            return kept.model_copy(update={"content": content})
        case ToolResult(), User() if not profile.user_after_tool:
            return last.model_copy(update={"content": f"{last.content}\n\n{message.content}"})
    return None
