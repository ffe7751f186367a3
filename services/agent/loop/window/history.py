"""The conversation of a run: all of it, and what of it the model is shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic_core import to_json

from services.agent.llm.chat import (
    Assistant,
    ChatMessage,
    Completion,
    Text,
    ToolResult,
    User,
)
from services.agent.loop.calls import Answer
from services.agent.loop.prompt import opening_messages
from services.agent.loop.work import Work
from shared.contract.messages import Frozen, Usage
from shared.contract.prompts import quoted
from shared.definitions.results import capped

Item = TypeVar("Item")

SUMMARY = "Your earlier work on this is not shown, to save space. A summary of it:"
MESSAGE_CHARS = 40
"""What a message or a call costs beside its texts."""

REMOVED = 0
"""In place of a length at which results are cut."""


class Cut(Frozen):
    """What a model is not shown of a conversation: the recorded output of a `shorten` step.

    A summary is a model's reply, with its usage.
    """

    content: Text | None = None
    """The summary of the turns that are left out."""
    usage: Usage = Usage()
    model: Text | None = None
    window: int | None = None
    """The length of the model's context in tokens, if a refusal has shown that it is shorter than
    was known."""
    recalled: int | None = None
    """Only so many of the session's exchanges are shown, the newest; None: all."""
    notes: int | None = None
    """Only so many notes are shown, the newest; None: all."""
    left_out: int = 0
    """The number of turns that are left out, the oldest."""
    unsummarised: int = 0
    """So many of these are in no summary."""
    removed: int = 0
    """The number of turns, from the oldest, that are shown without the results of their calls."""
    result_chars: int | None = None
    """The length at which results are cut; None: they are not."""


@dataclass
class History:
    """A conversation as a function of a run's work and recorded steps."""

    work: Work
    turns: list[list[ChatMessage]] = field(default_factory=list)
    """For each turn the reply and the results of its calls, or what the model was sent instead."""

    def __post_init__(self) -> None:
        self._again = {it.name for it in self.work.tools if it.repeatable}
        self._again |= {it.name for it in self.work.workers}
        self._forms: dict[tuple[int, int | None], tuple[list[ChatMessage], int]] = {}
        self._opened: tuple[Cut, list[ChatMessage], int] | None = None

    def append(self, turn: int, completion: Completion, answers: Iterable[Answer]) -> None:
        """Add a reply's calls and their answers under new ids: a model's own can be empty or
        repeated."""
        echo = tuple(  # some endpoints take ids of nine letters and digits only
            call.resendable(f"c{turn:04}{index:04}")
            for index, call in enumerate(completion.tool_calls, 1)
        )
        said, kept = completion.text or None, completion.kept
        results = (
            ToolResult(
                call_id=call.id,
                name=call.name,
                content=capped(answer.content),
                denied=bool(answer.denied),
            )
            for call, answer in zip(echo, answers, strict=True)
        )
        self.turns.append([Assistant(content=said, tool_calls=echo, kept=kept), *results])

    def shown(self, cut: Cut) -> list[ChatMessage]:
        """The messages for the model. The system text without the notes, and the task, are always
        among them."""
        turns = range(cut.left_out, len(self.turns))
        return [*self._opening(cut)[0], *(it for turn in turns for it in self._form(turn, cut)[0])]

    def size(self, cut: Cut) -> int:
        """The length of these messages in characters, with what only their endpoint reads."""
        turns = range(cut.left_out, len(self.turns))
        return self.opening_size(cut) + sum(self._form(it, cut)[1] for it in turns)

    def opening_size(self, cut: Cut) -> int:
        """The length of the messages before the turns."""
        return self._opening(cut)[1]

    def _opening(self, cut: Cut) -> tuple[list[ChatMessage], int]:
        """The messages before the turns, and their length; kept, as they are needed often."""
        if self._opened is None or self._opened[0] is not cut:
            messages = self._opened_with(cut)
            self._opened = cut, messages, sum(map(_size, messages))
        return self._opened[1:]

    def _opened_with(self, cut: Cut) -> list[ChatMessage]:
        work = self.work
        *opening, asked = opening_messages(
            work.definition.preamble,
            newest(work.notes, cut.notes),
            work.now,
            newest(work.recalled, cut.recalled),
            work.message,
            work.passages,
            quotes=bool(work.tools or work.workers or work.definition.swarm),
        )
        if cut.left_out:
            asked = User(content="\n\n".join([asked.content or "", _instead(cut)]))
        return [*opening, asked]

    def _form(self, place: int, cut: Cut) -> tuple[list[ChatMessage], int]:
        """A turn as it is shown after a cut, and its length; kept, as it is needed each turn."""
        most = REMOVED if place < cut.removed else cut.result_chars
        form = self._forms.get((place, most))
        if form is None:
            messages = [_quoted(self._shortened(it, most)) for it in self.turns[place]]
            form = self._forms[place, most] = messages, sum(map(_size, messages))
        return form

    def _shortened(self, message: ChatMessage, most: int | None) -> ChatMessage:
        if most is None or not isinstance(message, ToolResult):
            return message
        content = message.content
        if most == REMOVED:
            hint = "; call the tool again if you need it" if message.name in self._again else ""
            shorter = f"[result removed to save space: {len(content)} characters{hint}]"
        else:
            shorter = capped(content, most)
        if len(shorter) >= len(content):
            return message
        return message.model_copy(update={"content": shorter})


def _quoted(message: ChatMessage) -> ChatMessage:
    """A result as the model is shown it. It is quoted only now, so that no cut loses its end."""
    if not isinstance(message, ToolResult) or message.denied:
        return message
    return message.model_copy(update={"content": quoted(message.name, message.content)})


def _instead(cut: Cut) -> str:
    """The text that stands for the turns that are left out."""
    parts = [f"{SUMMARY}\n{quoted('summary', cut.content)}"] if cut.content else []
    if cut.unsummarised:
        parts.append(f"[{cut.unsummarised} earlier turns of yours left out to save space]")
    return "\n\n".join(parts)


def newest(items: Sequence[Item], most: int | None) -> Sequence[Item]:
    """The last of the items, at most `most`; None: all."""
    return items if most is None else items[len(items) - min(most, len(items)) :]


def _size(message: ChatMessage) -> int:
    length = MESSAGE_CHARS + len(message.content or "")
    if isinstance(message, Assistant):
        length += sum(len(it.name) + len(it.arguments) for it in message.tool_calls)
        length += MESSAGE_CHARS * len(message.tool_calls)
        length += len(to_json(message.kept)) if message.kept else 0
    return length
