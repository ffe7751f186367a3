"""An agent's tools: specs for the model, calls by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.agent.llm.chat import ToolSpec
from services.agent.loop.journal import StepKey
from shared.definitions.functions import JsonObject, Tool
from shared.errors import ToolError
from shared.store.runs.run import Run


class Toolbox:
    """The local tools of one agent; the loader guarantees that their names are unique."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(
            ToolSpec(
                name=tool.name,
                description=tool.description,
                parameters=tool.parameters,
                repeatable=tool.repeatable,
            )
            for tool in self._tools.values()
        )

    async def call(self, name: str, arguments: JsonObject, idempotency_key: str) -> str:
        """Call a tool; raises `ToolError` as `Tool.call` does, and for a tool that was removed
        from the agent's file since the claim."""
        if name not in self._tools:
            raise ToolError(f"the tool '{name}' is not there any more")
        return await self._tools[name].call(arguments, idempotency_key)


@dataclass(frozen=True)
class RunTools:
    """The tools of one run: the idempotency key of a call is its step's id."""

    toolbox: Toolbox
    run: Run

    async def call(self, key: StepKey, name: str, arguments: JsonObject) -> str:
        step_id = key.step_id(self.run.run_id, self.run.nonce)
        return await self.toolbox.call(name, arguments, step_id)
