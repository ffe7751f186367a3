"""The input and the outcome of a run's loop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated

from pydantic import AwareDatetime, Field, JsonValue

from services.agent.llm.chat import OnText, ToolSpec
from services.agent.loop.tool_calls import WorkerSpec
from shared.contract.messages import Frozen, Status, Task, Trigger, Usage
from shared.definitions.functions import JsonObject
from shared.definitions.model import Definition


class Work(Frozen):
    """The inputs of a run, frozen at its claim."""

    run_id: str
    definition: Definition
    message: Annotated[Task | Trigger, Field(discriminator="type")]
    notes: tuple[str, ...] = ()
    recalled: tuple[tuple[str, str], ...] = ()
    now: AwareDatetime
    workers: tuple[WorkerSpec, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    window: int | None = None
    """The length of the model's context in tokens; None if it is not known."""
    output: JsonObject | None = None
    """The JSON schema of the answer."""
    offered: tuple[str, ...] = ()
    """The tools and workers that the model is offered at first, beside Hutch's own; none: all."""
    passages: str = ""
    """Passages of documents for the prompt."""


Stream = Callable[[int], AbstractContextManager[OnText]]
"""Called with the number of a turn: a context in which the text of its reply is taken."""


class Outcome(Frozen):
    """How a run ended. `content` is for the requester, `detail` for the operator only."""

    status: Status
    content: str
    detail: str | None = None
    usage: Usage = Usage()
    model: str | None = None
    data: JsonValue = None
    """The content as JSON, if the agent's answers have a schema."""


def failed(content: str, detail: str | None = None, usage: Usage = Usage()) -> Outcome:  # noqa: B008
    return Outcome(status=Status.FAILED, content=content, detail=detail, usage=usage)
