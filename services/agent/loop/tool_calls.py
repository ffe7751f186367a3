"""What a model can call and what its calls ask for; workers are tools with fixed arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import ValidationError

from services.agent.llm.chat import ToolCall, ToolSpec
from services.agent.loop.journal import Kind
from shared.contract.messages import Content, Frozen
from shared.definitions.arguments import faults
from shared.definitions.functions import JsonObject, sanitised
from shared.errors import ToolError

PARAMETERS: JsonObject = {
    "type": "object",
    "properties": {
        "prompt": {
            "type": "string",
            "minLength": 1,
            "description": "what to do; all it needs to know",
        },
        "context": {"type": "string", "description": "what it should know besides"},
    },
    "required": ["prompt"],
    "additionalProperties": False,
}


class WorkerSpec(Frozen):
    """A worker as its manager's model sees it: never by its preamble."""

    name: str
    description: str

    @property
    def tool(self) -> ToolSpec:
        return ToolSpec(name=self.name, description=self.description, parameters=PARAMETERS)


def kinds_of(tools: Iterable[ToolSpec], workers: Iterable[WorkerSpec]) -> dict[str, Kind]:
    """What each name that a model may call stands for."""
    kinds: dict[str, Kind] = dict.fromkeys((tool.name for tool in tools), "tool")
    return kinds | dict.fromkeys((worker.name for worker in workers), "worker")


class Ask(Frozen):
    """The arguments of a call."""

    prompt: Content
    context: str | None = None


def read(call: ToolCall, kinds: Mapping[str, Kind]) -> Ask | JsonObject:
    """The arguments of a call to a worker, or to a tool. Raises `ToolError` for the model."""
    kind = kinds.get(call.name)
    if kind is None:
        known = ", ".join(kinds) or "none"
        raise ToolError(f"there is no tool '{sanitised(call.name)}'; there are: {known}")
    arguments = call.parsed()
    if kind == "tool":
        return arguments
    try:
        return Ask.model_validate(arguments)
    except ValidationError as error:
        raise ToolError(f"the arguments of {call.name} are wrong: {faults(error)}") from error
