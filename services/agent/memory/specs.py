"""Hutch's own tools, as models see them. All can be called again without harm."""

from __future__ import annotations

from pydantic import JsonValue

from services.agent.llm.chat import ToolSpec
from shared.definitions.knowledge import (
    FIND_TOOLS,
    FORGET,
    MOST_OFFERED,
    READ_SKILL,
    RECALL,
    REMEMBER,
    SEARCH_KNOWLEDGE,
    built_in,
)
from shared.definitions.model import Definition

FACT_CHARS = 2_000
"""The longest fact that an agent remembers."""


def _spec(name: str, description: str, /, **parameters: str) -> ToolSpec:
    """A tool whose parameters are texts; those whose names end in `_` may be left out."""
    properties: dict[str, JsonValue] = {
        it.removesuffix("_"): {"type": "string", "description": text}
        for it, text in parameters.items()
    }
    schema: dict[str, JsonValue] = {
        "type": "object",
        "properties": properties,
        "required": [it for it in parameters if not it.endswith("_")],
        "additionalProperties": False,
    }
    return ToolSpec(name=name, description=description, parameters=schema, repeatable=True)


_SPECS = {
    it.name: it
    for it in (
        _spec(
            SEARCH_KNOWLEDGE,
            "Searches your documents. Returns the passages that fit best, each with its source: "
            "name the sources that you use in your answer.",
            query="the words that such a passage contains; not a whole sentence",
        ),
        _spec(
            REMEMBER,
            "Keeps a fact for your later tasks, such as a preference or a decision.",
            fact=f"one fact, to be understood by itself; at most {FACT_CHARS} characters",
        ),
        _spec(
            RECALL,
            "Returns facts that you remember from earlier tasks, each with its id.",
            query_="words of the facts; without it, the newest facts are returned",
        ),
        _spec(
            FORGET,
            "Deletes a fact that you remember, because it is wrong now or was withdrawn.",
            id="the fact's id, as recall returns it",
        ),
        _spec(
            READ_SKILL,
            "Returns the instructions of a skill, or another file of it.",
            name="the skill's name",
            file_="a file that the skill's instructions name; without it: the instructions",
        ),
        _spec(
            FIND_TOOLS,
            "Finds more tools: you have only been given those that seemed to fit the task. "
            "You can call the tools that it returns from then on.",
            query="what the tool should do",
        ),
    )
}


def specs(definition: Definition, others: int = 0) -> tuple[ToolSpec, ...]:
    """Hutch's own tools for an agent that has `others` tools of MCP servers."""
    names = built_in(definition)
    if len(definition.tools) + len(definition.workers) + others <= MOST_OFFERED:
        names.discard(FIND_TOOLS)
    return tuple(it for name, it in _SPECS.items() if name in names)
