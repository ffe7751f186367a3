"""The last known cause of a run without an answer; it is the reason if the deadline comes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial

from services.agent.llm.chat import Completion, OnText, Request
from services.agent.loop.wrappers import ModelWrapper
from shared.errors import ModelError


@dataclass
class Cause:
    """What this process knows of the calls of a run's model since its last finished step."""

    postponed: int = 0
    """The run's postponements in a row."""
    reason: str = ""
    """Why the last of the calls, or the run's last postponement, failed; for the operator."""
    public: str = ""
    """The same, safe to show to a model."""
    waits_for: str = ""
    """The shared limit for which the run waits, or waited when it was postponed."""
    _failed: int = 0
    _began: float | None = None

    def call_began(self) -> None:
        self._began = time.monotonic()
        self.waits_for = ""

    def call_failed(self, error: BaseException | None) -> None:
        """An attempt to call the model has failed, and the call is tried again."""
        if isinstance(error, ModelError):
            self._failed += 1
            self.reason, self.public = str(error), error.public

    def step_finished(self) -> None:
        self.postponed = self._failed = 0
        self.reason = self.public = ""
        self._began = None

    def describe(self, *, paused: bool) -> tuple[str, str] | None:
        """The cause, safe to show to a model, and its detail for the operator; None: not known."""
        if paused:
            return "the agent is paused", "the agent is paused"
        if self.waits_for:
            return "its model's limit was used up", self.waits_for
        if self.reason:
            parts = [
                f"it was postponed {_times(self.postponed)}" if self.postponed else "",
                f"its model failed {_times(self._failed)}" if self._failed else "",
            ]
            counted = ", then ".join(filter(None, parts))
            return self.public or "its model failed", f"{counted}; the last reason: {self.reason}"
        if self._began is None:
            return None
        waited_s = time.monotonic() - self._began
        return "its model had not answered", f"its model had not answered after {waited_s:.1f} s"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


@dataclass
class WatchedModel(ModelWrapper):
    """A model whose calls are noted in `cause`."""

    cause: Cause

    def complete(
        self, request: Request, on_text: OnText | None = None
    ) -> Coroutine[None, None, Completion]:
        """See `Model.complete`."""
        watched = replace(request, on_retry=self.cause.call_failed)
        return self.around(partial(self.model.complete, watched, on_text))

    async def around(self, call: Callable[[], Awaitable[Completion]]) -> Completion:
        self.cause.call_began()
        return await call()
