"""An agent's tools as the loop sees them: specs for the model, calls by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import structlog

from services.agent.chat import ToolSpec
from shared.errors import SettingsError, ToolError
from shared.tools import JsonObject, Tool

MANY_TOOLS = 20
"""Beyond this, models choose worse."""

MOST_TOOLS = 128
"""Beyond this, endpoints refuse the request."""


class Toolbox:
    """The local tools of one agent.

    Raises `SettingsError` when a tool and another tool or worker have one name as a model
    sees it, or when there are more than `MOST_TOOLS` of both.
    """

    def __init__(self, agent: str, tools: Sequence[Tool], workers: Sequence[str] = ()) -> None:
        _check(agent, [*(tool.name for tool in tools), *workers])
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
        """Raises `ToolError` as `Tool.call` does, and for a tool that a newer file has dropped."""
        if name not in self._tools:
            raise ToolError(f"the tool '{name}' is not there any more")
        return await self._tools[name].call(arguments, idempotency_key)


def _check(agent: str, names: Sequence[str]) -> None:
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise SettingsError(
            f"agent '{agent}': two of its tools and workers are called '{twice[0]}' for the model; "
            "rename one"
        )
    if len(names) > MOST_TOOLS:
        raise SettingsError(
            f"agent '{agent}' has {len(names)} tools and workers; endpoints take {MOST_TOOLS}"
        )
    if len(names) > MANY_TOOLS:
        structlog.get_logger().warning("many tools: models choose worse", agent=agent, n=len(names))
