"""The arguments of a model's calls. Workers are offered as tools with fixed parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import Field, ValidationError
from pydantic_core import to_json

from services.agent.llm.chat import ToolCall, ToolSpec
from services.agent.loop.journal import StepKind
from shared.contract.messages import Content, Frozen
from shared.definitions.approval import ApprovalRule
from shared.definitions.functions import JsonObject
from shared.definitions.tools.arguments import faults
from shared.definitions.tools.choice import sanitised
from shared.errors import ToolError

ANSWERS_JSON = "Its answer is JSON with this schema: "

PARAMETERS: JsonObject = {
    "type": "object",
    "properties": {
        "prompt": {
            "type": "string",
            "minLength": 1,
            "description": "what to do; all it needs to know",
        },
        "context": {"type": "string", "description": "what else it should know"},
    },
    "required": ["prompt"],
    "additionalProperties": False,
}


class WorkerSpec(Frozen):
    """A worker as its manager's model sees it, without the preamble."""

    name: str
    description: str
    output: JsonObject | None = Field(default=None, exclude_if=lambda output: output is None)
    """The schema of its answers; earlier versions don't know the field."""
    approval: ApprovalRule | None = Field(
        default=None, exclude_if=lambda approval: approval is None
    )

    @property
    def tool(self) -> ToolSpec:
        described = self.description
        if self.output is not None:
            described = f"{described}\n{ANSWERS_JSON}{to_json(self.output).decode()}".strip()
        return ToolSpec(
            name=self.name, description=described, parameters=PARAMETERS, approval=self.approval
        )


def kinds_by_name(tools: Iterable[ToolSpec], workers: Iterable[WorkerSpec]) -> dict[str, StepKind]:
    """The kind of step that each callable name stands for."""
    kinds: dict[str, StepKind] = dict.fromkeys((tool.name for tool in tools), "tool")
    return kinds | dict.fromkeys((worker.name for worker in workers), "worker")


class WorkerArguments(Frozen):
    """The arguments of a call to a worker."""

    prompt: Content
    context: str | None = None


def parse_arguments(call: ToolCall, kinds: Mapping[str, StepKind]) -> WorkerArguments | JsonObject:
    """The arguments of a call. Raises `ToolError` with text for the model."""
    kind = kinds.get(call.name)
    if kind is None:
        known = ", ".join(kinds) or "none"
        raise ToolError(f"there is no tool '{sanitised(call.name)}'; there are: {known}")
    arguments = call.parsed()
    if kind == "tool":
        return arguments
    try:
        return WorkerArguments.model_validate(arguments)
    except ValidationError as error:
        raise ToolError(f"the arguments of {call.name} are wrong: {faults(error)}") from error
