"""A server's tools and prompts, as far as an agent can use them.

All of it comes from the server. Names and schemas that no endpoint takes, and hidden text in
descriptions, are changed or left out here, before a model or the store gets them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcp_types import Tool
from pydantic import JsonValue
from pydantic_core import to_json

from services.agent.llm.chat import ToolSpec
from services.agent.tools.mcp.bounds import clean, one_line
from shared.definitions.functions import JsonObject
from shared.definitions.mcp import McpServer
from shared.definitions.output import check_schema
from shared.definitions.tools.choice import sanitised
from shared.definitions.tools.signature import with_items

MOST_TOOLS = 256
"""The most tools of one server. Each is stored with the agent's definition; `allow` chooses."""
MOST_DESCRIPTION_CHARS = 1_024
"""The longest description that OpenAI's API takes."""
MOST_SCHEMA_BYTES = 32 * 1024
MOST_SCHEMA_NODES = 20_000
"""With references that double at each level, a small schema takes years to check."""
MOST_BYTES = 512 * 1024
"""The most bytes of all tools of one server together."""
MOST_SCHEMA_DEPTH = 24
MOST_NAME_CHARS = 100
"""The part of a tool's name that a log line shows."""

READ_RESOURCE = "read_resource"

_PARAMETER = re.compile(r"^[a-zA-Z0-9_.-]{1,64}$")
"""The names of parameters that all endpoints take."""


@dataclass(frozen=True)
class Catalogue:
    """A server's tools and prompts, for one agent. Two equal catalogues are the same to models."""

    tools: Mapping[str, ToolSpec]
    """By the server's own names."""
    resources: ToolSpec | None = None
    """The tool that reads the server's resources."""
    preamble: str = ""
    """The texts of the prompts that the agent's file names."""

    @property
    def specs(self) -> Sequence[ToolSpec]:
        return [*self.tools.values(), *([self.resources] if self.resources else ())]


def specs_of(server: McpServer, tools: Sequence[Tool]) -> tuple[dict[str, ToolSpec], list[str]]:
    """The tools that the agent has, by their own names, and a line on each that is left out."""
    found: dict[str, ToolSpec] = {}
    faults: list[str] = []
    taken = {server.tool_prefix + READ_RESOURCE}
    size = 0
    for tool in sorted(tools, key=lambda it: it.name):  # some servers list them in any order
        if not server.has(tool.name):
            continue
        name = sanitised(server.tool_prefix + tool.name)
        schema = tool.input_schema
        if len(found) >= MOST_TOOLS:
            faults.append(f"it has more than {MOST_TOOLS} tools: choose some with 'allow'")
            break
        if not tool.name.strip():
            fault = "it has no name"
        elif name in taken:
            fault = "another tool has its name, or one that endpoints can't distinguish from it"
        else:
            fault = schema_fault(schema)
        if fault:
            faults.append(f"the tool '{one_line(tool.name, MOST_NAME_CHARS)}': {fault}")
            continue
        spec = ToolSpec(
            name=name,
            description=_described(tool),
            parameters=_offered(schema),
            repeatable=server.may_repeat(tool.name),
            approval=server.approval,
        )
        if (size := size + len(spec.model_dump_json())) > MOST_BYTES:
            most = MOST_BYTES >> 10
            faults.append(f"its tools have more than {most} KiB: choose some with 'allow'")
            break
        taken.add(name)
        found[tool.name] = spec
    return found, faults


_CHOICES = frozenset({"anyOf", "oneOf", "allOf", "not", "enum"})


def resource_tool(server: McpServer) -> ToolSpec | None:
    """The tool that reads the resources of a server, if the agent's file allows it."""
    if not server.has(READ_RESOURCE):
        return None
    return ToolSpec(
        name=server.tool_prefix + READ_RESOURCE,
        description=f"Reads a resource of '{server.name}', such as a document. Without a URI: "
        "returns a list of the resources.",
        parameters={
            "type": "object",
            "properties": {"uri": {"type": "string", "description": "the resource's URI"}},
            "additionalProperties": False,
        },
        repeatable=True,
        approval=server.approval,
    )


def schema_fault(schema: JsonObject) -> str:
    """Why no model can be offered a tool with this schema; empty: it can."""
    if _depth(schema) > MOST_SCHEMA_DEPTH:  # first: what follows calls itself at each level
        return f"its schema is nested more than {MOST_SCHEMA_DEPTH} deep"
    if len(to_json(schema)) > MOST_SCHEMA_BYTES:
        return f"its schema has more than {MOST_SCHEMA_BYTES >> 10} KiB"
    properties = schema.get("properties", {})
    if schema.get("type", "object") != "object":
        return "its parameters are not an object"
    if not isinstance(properties, dict) or not all(map(_PARAMETER.match, properties)):
        return "its parameters have names that endpoints refuse"
    try:
        check_schema(schema)
        if _expanded(schema, schema, {}) > MOST_SCHEMA_NODES:
            return f"its schema has more than {MOST_SCHEMA_NODES:,} parts, with its references"
    except (ValueError, RecursionError) as error:
        return f"its schema is wrong: {one_line(str(error), 200)}"
    return ""


def _depth(value: JsonValue) -> int:
    """The depth of a JSON value, without recursion."""
    depth, level = 0, [value]
    while level and depth <= MOST_SCHEMA_DEPTH:
        depth += 1
        level = [
            inner
            for it in level
            if isinstance(it, dict | list)
            for inner in (it.values() if isinstance(it, dict) else it)
        ]
    return depth


def _expanded(value: JsonValue, root: JsonObject, known: dict[str, int]) -> int:
    """How many parts a schema has if each reference is replaced by its target, a recursive one
    once. Raises `ValueError` for a reference that leads to nothing in the schema."""
    if isinstance(value, list):
        return 1 + sum(_expanded(it, root, known) for it in value)
    if not isinstance(value, dict):
        return 1
    size = 1 + sum(_expanded(it, root, known) for it in value.values())
    reference = value.get("$ref")
    if isinstance(reference, str):
        if reference not in known:
            known[reference] = 1
            known[reference] = _expanded(_target(reference, root), root, known)
        size += known[reference]
    return size


def _target(reference: str, root: JsonObject) -> JsonValue:
    place: JsonValue = root
    for part in (
        reference.removeprefix("#").removeprefix("/").split("/") if reference != "#" else ()
    ):
        key = part.replace("~1", "/").replace("~0", "~")
        if not reference.startswith("#/") or not isinstance(place, dict) or key not in place:
            raise ValueError(f"it refers to '{reference}', which is not in it")
        place = place[key]
    return place


def _described(tool: Tool) -> str:
    text = clean((tool.description or tool.title or "")[: 4 * MOST_DESCRIPTION_CHARS]).strip()
    if len(text) <= MOST_DESCRIPTION_CHARS:
        return text
    return f"{text[: MOST_DESCRIPTION_CHARS - 1]}…"


def _offered(schema: JsonObject) -> JsonObject:
    """The schema as models are offered it: no endpoint takes a choice at the root, which the server
    checks itself."""
    found: JsonObject = with_items(_cleaned_object(schema))
    return {"type": "object"} | {key: it for key, it in found.items() if key not in _CHOICES}


def _cleaned_object(schema: JsonObject) -> JsonObject:
    return {
        clean(key): _cleaned(value) for key, value in schema.items() if not _is_pattern(key, value)
    }


def _is_pattern(key: str, value: JsonValue) -> bool:
    """Whether this is a keyword with regular expressions, which can take years to match. The server
    checks its arguments itself."""
    return (key == "pattern" and isinstance(value, str)) or key == "patternProperties"


def _cleaned(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_cleaned(it) for it in value]
    return _cleaned_object(value) if isinstance(value, dict) else value


def differences(before: Catalogue, after: Catalogue) -> dict[str, list[str]]:
    """The names of the tools that were added, removed, or are described in another way."""
    old, new = before.tools, after.tools
    found = {
        "added": [it for it in new if it not in old],
        "removed": [it for it in old if it not in new],
        "changed": [it for it in new if it in old and old[it] != new[it]],
    }
    return {kind: [one_line(it, MOST_NAME_CHARS) for it in names] for kind, names in found.items()}
