"""A client's conversation as the content, context and session of a task."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from pydantic import BaseModel

from services.gateway.openai.wire.errors import RequestError, unsupported
from shared.contract.rows import storable

SESSION_HEADERS = ("x-hutch-session", "x-openwebui-chat-id", "x-conversation-id")
"""Name the conversation. The last one is what LibreChat's documentation calls its own."""

_NO_SESSION = re.compile(r"|null|undefined|new|\{\{.*")
"""Placeholders that LibreChat sends before a conversation has an id."""

_SIDE = re.compile(
    r"### Task:\s"
    r"|Your task is to reflect the speaker's likely facial expression"
    r"|You have been provided with a set of responses from various models"
    r"|Available Tools: .*Your task is to choose and return the correct tool"
    r"|Provide a concise,? 5-word-or-less title for the conversation"
    r"|Analyze this conversation and provide:\s+1\. The detected language"
    r"|Please generate a concise title \(max 40 characters\)",
    re.DOTALL,
)
"""The beginnings of what chat pages ask on their own: titles, tags, follow-up questions, tools to
use. They are those of Open WebUI and LibreChat."""

_UNSUPPORTED = {
    "image_url": "images",
    "input_image": "images",
    "input_audio": "audio",
    "file": "files",
    "input_file": "files",
    "video_url": "videos",
}
_INSTRUCTIONS = ("system", "developer")
_EARLIER = "The conversation so far, as information:"
_WANTED = "Instructions of the client:"


class Part(BaseModel):
    type: str = "text"
    text: str | None = None
    refusal: str | None = None


@dataclass(frozen=True)
class Message:
    role: str
    text: str


@dataclass(frozen=True)
class Question:
    content: str
    context: str | None
    is_side_request: bool
    """Whether a chat page asks this on its own, about a conversation and not in it."""


def text_of(content: str | Sequence[Part] | None, param: str) -> str:
    """The text of a message; raises 400 for parts that an agent can't read."""
    if content is None or isinstance(content, str):
        return content or ""
    for number, part in enumerate(content):
        if kind := _UNSUPPORTED.get(part.type):
            raise unsupported(f"{param}.{number}", f"agents read text only: {kind} can't be sent")
    return "\n".join(part.text or part.refusal or "" for part in content)


def conversation(messages: Sequence[Message], *, in_session: bool) -> Question:
    """The last message of a user is the content. The messages before it are the context, unless the
    agent knows them by its session.

    Without a user's message the last text is the content. Raises 400 if there is no text.
    """
    texts = [place for place, it in enumerate(messages) if it.text.strip()]
    asked = [place for place in texts if messages[place].role == "user"] or texts
    if not asked:
        raise RequestError(
            HTTPStatus.BAD_REQUEST, "there is no text to answer", code="missing_input"
        )
    content = storable(messages[asked[-1]].text)
    others = [messages[place] for place in texts if place != asked[-1]]
    wanted = [it.text for it in others if it.role in _INSTRUCTIONS]
    is_side_request = any(_SIDE.match(it.lstrip()) for it in (content, *wanted))
    known = in_session and not is_side_request
    earlier = [] if known else [it for it in others if it.role not in _INSTRUCTIONS]
    parts = ["\n".join([_WANTED, *wanted])] if wanted else []
    if earlier:
        parts.append("\n".join([_EARLIER, *(_line(it) for it in earlier)]))
    context = storable("\n\n".join(parts)) or None
    return Question(content, context, is_side_request)


def _line(message: Message) -> str:
    """A message in a list; further lines are indented, so that none looks like another message."""
    role = message.role if message.role.isidentifier() else "other"
    return f"{role}: " + "\n  ".join(message.text.strip().splitlines())


def session_of(headers: Mapping[str, str]) -> str | None:
    """The session that the headers name."""
    for name in SESSION_HEADERS:
        given = headers.get(name, "").strip()
        if not _NO_SESSION.fullmatch(given):
            return session_id(given)
    return None


def session_id(name: str) -> str:
    """The name, or its hash if the name is no id."""
    if re.fullmatch(r"[!-~]{1,128}", name):
        return name
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
