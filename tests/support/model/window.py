"""A model with a context of a fixed length, which refuses longer requests like an endpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic_core import to_json

from services.agent.llm.chat import Completion, OnText, Request, System
from services.agent.loop.window.summary import INSTRUCTION
from shared.contract.messages import Usage
from shared.errors import ContextExceeded, HutchError

CHARS_PER_TOKEN = 4


def body(request: Request) -> bytes:
    """The request as an endpoint reads it: the tools, then the messages."""
    return to_json([list(request.tools), list(request.history)])


def tokens(request: Request) -> int:
    return len(body(request)) // CHARS_PER_TOKEN


def is_summary(request: Request) -> bool:
    first = request.history[0]
    return isinstance(first, System) and first.content[:40] == INSTRUCTION[:40]


def found_all() -> Completion:
    return Completion(content="All was found.")


@dataclass
class WindowModel:
    """Replies as `script` says for the turn, and to the instruction to summarise as `summarise`.

    `names_window`: whether a refusal says how long the context is. `reports_usage`: whether a reply
    says how many tokens it has read.
    """

    window: int
    script: Callable[[int], Completion]
    summarise: Callable[[], Completion | HutchError] = found_all
    names_window: bool = True
    reports_usage: bool = True
    turn: int = 0
    """The number of replies, without summaries."""
    answered: list[Request] = field(default_factory=list)
    refused: list[Request] = field(default_factory=list)
    used: Usage = field(default_factory=Usage)

    @property
    def turns(self) -> list[Request]:
        return [it for it in self.answered if not is_summary(it)]

    @property
    def summaries(self) -> list[Request]:
        return [it for it in self.answered if is_summary(it)]

    async def complete(self, request: Request, on_text: OnText | None = None) -> Completion:
        read = tokens(request)
        if read + (request.most_tokens or 0) > self.window:
            self.refused.append(request)
            error = ContextExceeded(f"{read} tokens are more than {self.window}")
            error.window = self.window if self.names_window else None
            raise error
        made = self.summarise() if is_summary(request) else self._next()
        if isinstance(made, HutchError):
            raise made
        self.answered.append(request)
        usage = Usage(
            model_calls=1, input_tokens=read if self.reports_usage else 0, output_tokens=10
        )
        self.used += usage
        return made.model_copy(update={"usage": usage})

    def _next(self) -> Completion:
        self.turn += 1
        return self.script(self.turn)
