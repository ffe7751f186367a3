"""A tool or a worker as an agent's file names it, with the options of its calls."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from shared.contract.messages import AgentName, Frozen
from shared.definitions.approval import ApprovalChoice, ApprovalRule
from shared.definitions.durations import Duration
from shared.definitions.results import MAX_RESULT_CHARS
from shared.validation import Wanted

TOOL_FORM = "FILE.py:FUNCTION, such as orders.py:lookup"

WORKER_ARGUMENTS = ("prompt", "context")
"""What a manager's model gives a worker."""

LONGEST_RESULT = 200_000
"""About 50,000 tokens, more than most models can read beside the rest of a conversation."""

Reference = Annotated[
    str,
    Field(pattern=r"^[^:]+\.py:[A-Za-z_]\w*(\.[A-Za-z_]\w*)?$"),
    Wanted(TOOL_FORM),
]


ToolName = Annotated[
    str,
    Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$"),
    Wanted("letters, digits, hyphens and underscores, at most 64"),
]


def sanitised(name: str) -> str:
    """The name in a form that every endpoint takes: `^[a-zA-Z0-9_-]{1,64}$`."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64] or "_"


def _is_absent(value: object) -> bool:
    """Such an option is not stored with a run: an earlier version can resume it."""
    return value in (None, MAX_RESULT_CHARS)


class ToolChoice(Frozen, title="Tool"):
    """A tool by file and function; `repeatable` if a call may be made twice without harm."""

    function: Reference = Field(
        description="`FILE.py:FUNCTION`, with the file in `tools/` beside the agents' files; "
        "`FILE.py:CLASS.METHOD` for a method of an object that lives as long as the process"
    )
    repeatable: bool = Field(
        default=False, description="whether an interrupted call may be made again"
    )
    timeout: Duration | None = Field(
        default=None,
        exclude_if=_is_absent,
        description="of one call; absent: only the run's deadline ends a call",
    )
    concurrency: int | None = Field(
        default=None,
        exclude_if=_is_absent,
        strict=True,
        ge=1,
        le=1024,
        description="calls at once in one process, others wait; absent: no limit of its own",
    )
    max_result: int = Field(
        default=MAX_RESULT_CHARS,
        exclude_if=_is_absent,
        strict=True,
        ge=100,
        le=LONGEST_RESULT,
        description="characters of a result that the model gets; the rest is cut",
    )
    approval: ApprovalChoice = Field(
        default=None,
        exclude_if=_is_absent,
        description="calls that a person must approve: `always`, `never` or `{when: …}`",
    )
    rename: ToolName | None = Field(
        default=None,
        exclude_if=_is_absent,
        description="the tool's name for the model; absent: the function's",
    )
    description: str | None = Field(
        default=None,
        exclude_if=_is_absent,
        min_length=1,
        description="replaces that of the docstring; the parameters keep theirs",
    )

    @property
    def name(self) -> str:
        """The name by which the model calls the tool."""
        return self.rename or sanitised(re.split(r"[:.]", self.function)[-1])

    @property
    def timeout_s(self) -> float | None:
        return self.timeout.total_seconds() if self.timeout else None


class WorkerChoice(Frozen, title="Worker"):
    """A worker by name. Without options, it is stored as its name, which earlier versions read."""

    name: AgentName = Field(description="the agent's name")
    approval: ApprovalChoice = Field(
        default=None,
        description="tasks that a person must approve: `always`, `never` or `{when: …}`, with a "
        "condition on `prompt` and `context`",
    )

    @model_serializer(mode="wrap")
    def _stored(self, handler: SerializerFunctionWrapHandler) -> object:
        return handler(self) if self.approval else self.name

    @field_validator("approval")
    @classmethod
    def _of_arguments(cls, value: ApprovalRule | None) -> ApprovalRule | None:
        if value and (unknown := value.unknown(WORKER_ARGUMENTS)):
            raise ValueError(unknown)
        return value


def worker_by_name(value: object) -> object:
    """Takes a name for a worker without options."""
    return {"name": value} if isinstance(value, str) else value
