"""Base classes for wrappers of a model or of tools: a subclass overrides one method, `around`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial

from services.agent.llm.chat import Completion, Model, OnText, Request
from services.agent.loop.calls import Tools
from services.agent.loop.journal import StepKey
from shared.definitions.functions import JsonObject


@dataclass
class ModelWrapper(ABC):
    """A model that wraps another model."""

    model: Model

    def complete(
        self, request: Request, on_text: OnText | None = None
    ) -> Coroutine[None, None, Completion]:
        """See `Model.complete`."""
        return self.around(partial(self.model.complete, request, on_text))

    @abstractmethod
    async def around(self, call: Callable[[], Awaitable[Completion]]) -> Completion:
        """Make the call, and do what is necessary before and after it."""


@dataclass
class ToolsWrapper(ABC):
    """Tools that wrap other tools."""

    tools: Tools

    def call(self, key: StepKey, name: str, arguments: JsonObject) -> Coroutine[None, None, str]:
        """See `Tools.call`."""
        return self.around(key, name, partial(self.tools.call, key, name, arguments))

    @abstractmethod
    async def around(self, key: StepKey, name: str, call: Callable[[], Awaitable[str]]) -> str:
        """Make the call, and do what is necessary before and after it."""
