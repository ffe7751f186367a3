"""Agents as the tools of MCP, and their answers as results of calls."""

from __future__ import annotations

from datetime import UTC, datetime

from mcp_types import CallToolResult, TextContent, Tool
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from services.gateway.tasks.submission import SENDER
from shared.contract.messages import (
    ANSWERED,
    MAX_BODY_BYTES,
    Content,
    Id,
    Task,
    encode,
    run_id,
)
from shared.definitions.functions import JsonObject
from shared.definitions.model import Definition

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


def tool(name: str, described: Definition | None) -> Tool:
    """An agent as a tool; without its description if its file has a fault there."""
    return Tool(
        name=name,
        description=described.description if described else "",
        input_schema=INPUT_SCHEMA,
        output_schema=output_schema(described),
    )


def output_schema(described: Definition | None) -> JsonObject | None:
    """The schema of the agent's answers if they are objects: MCP knew no others until 2026."""
    schema = described.output if described else None
    return schema if isinstance(schema, dict) and schema.get("type") == "object" else None


def result(
    agent: str, task_id: str, status: str, content: str, data: JsonValue, *, has_schema: bool
) -> CallToolResult:
    """The answer of a run. A run without one, and one whose answer has no data although the tool
    has a schema, is an error that the client's model can read."""
    structured = data if has_schema and isinstance(data, dict) else None
    is_error = status not in ANSWERED or (has_schema and structured is None)
    return CallToolResult(
        content=[TextContent(text=content or f"the run ended: {status}")],
        structured_content=structured,
        is_error=is_error,
        meta={TASK: task_id, RUN: run_id(agent, task_id), STATUS: str(status)},
    )


def fault(sentence: str) -> CallToolResult:
    """The answer to arguments that no agent takes, which the client's model can correct."""
    return CallToolResult(content=[TextContent(text=sentence)], is_error=True)
