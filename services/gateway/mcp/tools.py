"""Agents as the tools of MCP, and their answers as results of calls."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from mcp_types import CallToolResult, TextContent, Tool
from pydantic import BaseModel, ConfigDict, Field

from services.gateway.access.caller import Caller
from services.gateway.tasks.lookup import TaskView
from services.gateway.tasks.submission import SENDER
from shared.contract.messages import (
    ANSWERED,
    MAX_BODY_BYTES,
    Content,
    Id,
    Response,
    Status,
    Task,
    encode,
    run_id,
)
from shared.definitions.functions import JsonObject
from shared.definitions.model import Definitions

SPARE_BYTES = 4096
"""For what is added to a task until it is sent."""

TASK, RUN, STATUS = "hutch/task", "hutch/run", "hutch/status"
"""Keys of a result's `_meta`: the ids of the task and its run, and how that ended."""


class Arguments(BaseModel):
    """What a client gives an agent."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Arguments")

    prompt: Content = Field(
        description="What to do, in full: the agent sees nothing else of this conversation."
    )
    context: str | None = Field(
        default=None, max_length=MAX_BODY_BYTES, description="Further information for the agent."
    )
    session: Id | None = Field(
        default=None,
        description="The id of a conversation with the agent, chosen by you and unique: "
        "the agent remembers the earlier calls with the same id.",
    )

    def task(self, task_id: str) -> Task:
        """The message to the agent. Raises `ValueError` if it is larger than any agent takes."""
        task = Task(
            id=task_id,
            content=self.prompt,
            context=self.context,
            session=self.session,
            sender=SENDER,
            sent_at=datetime.now(UTC),
        )
        if len(encode(task)) > MAX_BODY_BYTES - SPARE_BYTES:
            raise ValueError(f"the text has more than {MAX_BODY_BYTES // 1024} KiB")
        return task


INPUT_SCHEMA: JsonObject = {
    "type": "object",
    "properties": {
        name: {"type": "string", "description": field.description}
        for name, field in Arguments.model_fields.items()
    },
    "required": ["prompt"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class AgentTools:
    """The agents of a folder as tools: all names, and those whose description can be read."""

    names: Collection[str]
    described: Definitions

    def offered(self, caller: Caller) -> list[Tool]:
        """The agents that a caller may use, by name."""
        return [
            Tool(
                name=it,
                description=self._description(it),
                input_schema=INPUT_SCHEMA,
                output_schema=self._output_schema(it),
            )
            for it in sorted(filter(caller.sees, self.names))
        ]

    def result(self, answer: Response | TaskView, task_id: str) -> CallToolResult:
        """The answer of a run. A run without one, and one whose answer has no data although the
        tool has a schema, is an error that the client's model can read."""
        agent, status = answer.agent, Status(answer.status)
        has_schema = self._output_schema(agent) is not None
        data = answer.data if has_schema and isinstance(answer.data, dict) else None
        return CallToolResult(
            content=[TextContent(text=answer.content or f"the run ended: {status}")],
            structured_content=data,
            is_error=status not in ANSWERED or (has_schema and data is None),
            meta={TASK: task_id, RUN: run_id(agent, task_id), STATUS: status.value},
        )

    def _description(self, agent: str) -> str:
        """Some clients take no tool without one."""
        described = self.described.get(agent)
        return (described and described.description) or f"The agent {agent}."

    def _output_schema(self, agent: str) -> JsonObject | None:
        """The schema of an agent's answers if they are objects: MCP knew no others until 2026."""
        schema = self.described[agent].output if agent in self.described else None
        return schema if isinstance(schema, dict) and schema.get("type") == "object" else None
