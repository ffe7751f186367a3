"""The content of an agent's file, as `shared/definitions/loader.py` reads it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    JsonValue,
    ValidationInfo,
    field_validator,
    model_validator,
)

from shared.contract.messages import AGENT_NAME, AgentName, Frozen
from shared.contract.prompts import ToolProtocol
from shared.contract.topology import ALL, GATEWAY, SCHEDULER
from shared.definitions.durations import Duration
from shared.definitions.functions import JsonObject
from shared.definitions.guardrails import Guardrails, unknown_name
from shared.definitions.knowledge import OWN, Knowledge, built_in, knowledge_by_paths
from shared.definitions.mcp import McpServer, McpServers
from shared.definitions.models.base_url import BaseUrl
from shared.definitions.output import checked_output
from shared.definitions.schedules.schedule import Schedule
from shared.definitions.tools.choice import (
    TOOL_FORM,
    Reference,
    ToolChoice,
    WorkerChoice,
    sanitised,
    worker_by_name,
)

RESERVED = {ALL, GATEWAY, SCHEDULER}
"""No agent can have these names."""
MOST_CALLABLE = 128
"""The most tools and workers of one agent: endpoints refuse a request that offers more."""


Count = Annotated[int, Field(strict=True)]
"""A number: `yes` and `true` would count as 1."""

ProfileName = Literal[
    "openai",
    "azure",
    "azure-deployment",
    "gemini",
    "deepseek",
    "mistral",
    "openrouter",
    "groq",
    "llama.cpp",
    "lmstudio",
    "ollama",
    "anthropic",
    "cloudflare",
    "vllm",
    "kimi",
    "bedrock",
    "copilot",
    "generic",
]
"""The kinds of endpoints that `docs/models.md` lists."""


def _is_default(value: object) -> bool:
    """Such a field is not stored with a run: an earlier version can resume it."""
    return value in (None, "auto", {})


class ModelChoice(Frozen, title="Model"):
    """An agent's model and its options, where they differ from the process's settings."""

    name: str | None = Field(
        default=None, description="name at the endpoint; absent: `OPENAI_MODEL`"
    )
    base_url: BaseUrl | None = Field(
        default=None,
        description="address of the endpoint, like `https://host/v1`; absent: `OPENAI_BASE_URL`, "
        "else OpenAI",
    )
    api_key_env: str | None = Field(
        default=None,
        description="name of the variable that holds the key, not the key; absent: "
        "`OPENAI_API_KEY`, which is sent only to the endpoint of the settings",
    )
    api: Literal["auto", "chat", "responses"] = Field(
        default="auto",
        exclude_if=_is_default,
        description="chat completions or the Responses API; `auto`: as the profile says",
    )
    reasoning: Literal["none", "low", "medium", "high"] | None = Field(
        default=None, exclude_if=_is_default, description="effort; absent: the model's default"
    )
    temperature: float | None = Field(
        default=None,
        exclude_if=_is_default,
        ge=0,
        le=2,
        strict=True,
        allow_inf_nan=False,
        description="not sent to models that refuse it; absent: the model's default",
    )
    max_output_tokens: Count | None = Field(
        default=None, exclude_if=_is_default, ge=1, description="of one reply, reasoning included"
    )
    context: Count | None = Field(
        default=None,
        exclude_if=_is_default,
        ge=1,
        description="tokens that the model can read; absent: by the profile and the model's name",
    )
    profile: ProfileName | None = Field(
        default=None,
        exclude_if=_is_default,
        description="kind of endpoint; absent: found by the host of `base_url`",
    )
    extra: dict[str, JsonValue] = Field(
        default={}, exclude_if=_is_default, description="merged into each request, last"
    )


class Limits(Frozen):
    """The limits of an agent's runs."""

    turns: Count = Field(
        default=10,
        ge=1,
        le=1000,
        description="model calls of one run; another one, without tools, then concludes it",
    )
    depth: Count = Field(
        default=4, ge=1, le=32, description="agents in one chain of calls, this one included"
    )
    timeout: Duration = Field(
        default=timedelta(minutes=10), description="of one run; then it ends `timeout`"
    )
    concurrency: Count = Field(
        default=8, ge=1, le=1024, description="runs that compute at once in one process"
    )
    caused_per_minute: Count = Field(
        default=600,
        ge=1,
        le=1_000_000,
        description="tasks that the runs of one agent may send to one process of this one in a "
        "minute, without a manager's calls to its workers; more are refused",
    )


_Tool = Reference | ToolChoice
_Output = Annotated[str, Field(pattern=r"^[^:]+\.(json|py:[A-Za-z_]\w*)$")] | JsonObject | None


def _tool_by_function(value: object) -> object:
    if isinstance(value, str):
        return {"function": value}
    if isinstance(value, dict | ToolChoice):
        return value
    raise ValueError(f"write {TOOL_FORM}")


_Entry = WorkerChoice | ToolChoice | McpServer | Schedule
_Entries = tuple[_Entry, ...]


class Definition(Frozen, title="Agent"):
    """One agent, as its file defines it."""

    name: AgentName = Field(
        description="lower-case letters, digits and hyphens, at most 40, a letter first",
        json_schema_extra={"not": {"enum": [*sorted(RESERVED)]}},
    )
    description: str = Field(default="", description="what the models of its managers see of it")
    preamble: str = Field(
        default="",
        description="its instructions, the system text of each run; no other agent sees them",
    )
    model: ModelChoice = Field(
        default_factory=ModelChoice, description="name of the model, or its options"
    )
    tool_protocol: ToolProtocol | None = Field(
        default=None,
        description="`schema`: for models without dependable tool calls; absent: "
        "`HUTCH_TOOL_PROTOCOL`",
    )
    workers: tuple[
        Annotated[
            WorkerChoice,
            BeforeValidator(worker_by_name, json_schema_input_type=AgentName | WorkerChoice),
        ],
        ...,
    ] = Field(default=(), description="agents that its model can call, each as a tool")
    tools: tuple[
        Annotated[ToolChoice, BeforeValidator(_tool_by_function, json_schema_input_type=_Tool)], ...
    ] = Field(default=(), description="Python functions that its model can call")
    mcp: McpServers = Field(
        default=(),
        exclude_if=lambda mcp: not mcp,
        description="MCP servers whose tools its model can call",
    )
    output: Annotated[
        JsonObject | str | None, BeforeValidator(checked_output, json_schema_input_type=_Output)
    ] = Field(
        default=None,
        exclude_if=lambda output: output is None,  # earlier versions don't know the field
        description="JSON schema of its answers: written here, a JSON file beside this one "
        "(`report.json`), or a pydantic model in `tools/` (`reports.py:Report`)",
    )
    knowledge: Annotated[
        Knowledge | None,
        BeforeValidator(knowledge_by_paths, json_schema_input_type=tuple[str, ...] | Knowledge),
    ] = Field(
        default=None,
        exclude_if=_is_default,
        description="files and folders of documents that it can search, beside this file",
    )
    memory: bool = Field(
        default=False,
        exclude_if=lambda memory: not memory,
        description="whether its model can remember facts for later runs",
    )
    skills: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda skills: not skills,
        description="folders of skills, beside this file: each skill is a folder with a `SKILL.md`",
    )
    guardrails: Guardrails | None = Field(
        default=None,
        exclude_if=_is_default,
        description="checks of its tasks and answers, and tools that data from outside closes",
    )
    swarm: AgentName | None = Field(
        default=None, description="group whose members receive each other's answers; absent: none"
    )
    on_peer: Literal["remember", "react"] = Field(
        default="remember",
        description="`remember`: a peer's answer becomes a note; `react`: it also starts a run",
    )
    tick: Duration | None = Field(
        default=None,
        description="how often an idle agent looks for finished work to sum up; absent: never",
    )
    schedule: tuple[Schedule, ...] = Field(default=(), description="times at which it is woken")
    foreign_clients: bool = Field(
        default=False,
        exclude=True,  # no run depends on it
        description="whether it may answer clients that receive in queues of their own, where each "
        "agent has its own user on the broker",
    )
    limits: Limits = Field(default_factory=Limits, description="limits of its runs")

    @field_validator("name")
    @classmethod
    def _own_name(cls, value: str) -> str:
        if value in RESERVED:
            raise ValueError(f"'{value}' is reserved for commands; choose another name")
        return value

    @field_validator("model", mode="before", json_schema_input_type=str | ModelChoice)
    @classmethod
    def _model_by_name(cls, value: object) -> object:
        if isinstance(value, dict | ModelChoice):
            return value
        if isinstance(value, str):
            return {"name": value}
        raise ValueError("write a model's name in quotes, or keys such as {name: …}")

    @field_validator("workers", "tools", "mcp", "schedule")
    @classmethod
    def _no_duplicates(cls, value: _Entries) -> _Entries:
        if twice := _twice(map(_label, value)):
            raise ValueError(f"'{twice}' occurs twice")
        return value

    @field_validator("workers", "tools")
    @classmethod
    def _callable(cls, value: _Entries, info: ValidationInfo) -> _Entries:
        """A model calls tools and workers by unique names, and endpoints take a limited number."""
        workers: _Entries = info.data.get("workers", ()) if info.field_name == "tools" else ()
        names = [_name(it) for it in (*workers, *value)]
        if twice := _twice(names):
            raise ValueError(
                f"two of the tools and workers are called '{twice}' for the model; rename one"
            )
        if len(names) > MOST_CALLABLE:
            raise ValueError(f"{len(names)} tools and workers; endpoints take {MOST_CALLABLE}")
        return value

    @field_validator("guardrails")
    @classmethod
    def _known_names(cls, value: Guardrails | None, info: ValidationInfo) -> Guardrails | None:
        if value and value.after_untrusted and {"tools", "workers", "mcp"} <= info.data.keys():
            entries: _Entries = (*info.data["tools"], *info.data["workers"])
            names = {_name(it) for it in entries} | OWN
            prefixes = tuple(it.tool_prefix for it in info.data["mcp"])
            if fault := unknown_name(value.after_untrusted, names, prefixes):
                raise ValueError(fault)
        return value

    @model_validator(mode="after")
    def _names_of_its_own(self) -> Definition:
        if twice := _callable_names(self) & built_in(self):
            raise ValueError(f"Hutch has a tool '{min(twice)}' itself: rename yours")
        return self


def _name(entry: _Entry) -> str:
    """The name by which the model calls a tool or worker."""
    return entry.name if isinstance(entry, ToolChoice) else sanitised(_label(entry))


def _label(entry: _Entry) -> str:
    return entry.function if isinstance(entry, ToolChoice) else entry.name


def callable_names(definition: Definition) -> set[str]:
    """The names that no tool of an MCP server gets: those of the agent's tools and workers, and of
    Hutch's own tools."""
    return _callable_names(definition) | OWN


def _callable_names(definition: Definition) -> set[str]:
    entries: _Entries = (*definition.workers, *definition.tools)
    return {_name(it) for it in entries}


def is_name(text: str) -> bool:
    """Whether an agent can have this name."""
    return re.fullmatch(AGENT_NAME, text) is not None and text not in RESERVED


def _twice(names: Iterable[str]) -> str | None:
    return min((name for name, times in Counter(names).items() if times > 1), default=None)


Definitions = Mapping[str, Definition]
