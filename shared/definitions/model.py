"""The content of an agent's file, as `shared/definitions/loader.py` reads it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    ValidationInfo,
    field_validator,
    model_validator,
)

from shared.contract.messages import AGENT_NAME, AgentName, Frozen
from shared.contract.prompts import ToolProtocol
from shared.contract.topology import ALL, SCHEDULER
from shared.definitions.base_url import url_fault
from shared.definitions.functions import JsonObject, sanitised
from shared.definitions.output import checked_output
from shared.validation import Wanted

_ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)
RESERVED = {ALL, SCHEDULER}
"""No agent can have these names."""
LONGEST = timedelta(days=365)
"""The longest duration: more than any run needs, and no time computed from it overflows."""
TOOL_FORM = "FILE.py:FUNCTION, such as orders.py:lookup"
MOST_CALLABLE = 128
"""The most tools and workers of one agent: endpoints refuse a request that offers more."""
_DURATION = re.compile(r"(?:(\d{1,18})h)?(?:(\d{1,18})m)?(?:(\d{1,18})s)?", re.ASCII)


def _duration(value: object) -> object:
    """A duration such as `10s`, `5m` or `1h30m`; a number without a unit would be ambiguous."""
    if not isinstance(value, str):
        if isinstance(value, timedelta):
            return value
        raise ValueError("write a duration with its unit, such as 10s, 5m or 1h30m")
    match = _DURATION.fullmatch(value)
    if not value or match is None:
        raise ValueError(f"'{value[:40]}' is no duration; write 10s, 5m or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    length_s = (hours * 60 + minutes) * 60 + seconds
    if not length_s:
        raise ValueError("a duration is longer than zero")
    if length_s > LONGEST.total_seconds():
        raise ValueError(f"'{value}' is too long: a duration is at most {LONGEST.days} days")
    return timedelta(seconds=length_s)


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(lambda value: f"{int(value.total_seconds())}s", return_type=str),
]


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


class ModelChoice(Frozen):
    """An agent's model and its options, where they differ from the process's settings."""

    name: str | None = None
    base_url: str | None = None
    api_key_env: str | None = Field(default=None, description="name of the variable, not the key")
    api: Literal["auto", "chat", "responses"] = Field(
        default="auto",
        exclude_if=_is_default,
        description="chat completions or Responses; auto: as the endpoint's profile says",
    )
    reasoning: Literal["none", "low", "medium", "high"] | None = Field(
        default=None, exclude_if=_is_default, description="effort; absent: the model's own default"
    )
    temperature: float | None = Field(
        default=None, exclude_if=_is_default, ge=0, le=2, strict=True, allow_inf_nan=False
    )
    max_output_tokens: Count | None = Field(
        default=None, exclude_if=_is_default, ge=1, description="of one reply, with its reasoning"
    )
    context: Count | None = Field(
        default=None, exclude_if=_is_default, ge=1, description="tokens that the model can read"
    )
    profile: ProfileName | None = Field(
        default=None,
        exclude_if=_is_default,
        description="kind of endpoint; absent: found by the host of the base URL",
    )
    extra: dict[str, JsonValue] = Field(
        default={}, exclude_if=_is_default, description="merged into each request, last"
    )

    @field_validator("base_url")
    @classmethod
    def _reachable(cls, value: str | None) -> str | None:
        if value and (fault := url_fault(value)):
            raise ValueError(fault)
        return value


class Limits(Frozen):
    turns: Count = Field(default=10, ge=1, le=1000, description="model calls in one run")
    depth: Count = Field(default=4, ge=1, le=32, description="agents in one chain of calls")
    timeout: Duration = Field(default=timedelta(minutes=10), description="of one run")
    concurrency: Count = Field(default=8, ge=1, le=1024, description="runs at once in one process")
    caused_per_minute: Count = Field(
        default=600,
        ge=1,
        le=1_000_000,
        description="tasks that runs of one agent may send to one process of this one, without the "
        "calls of a manager to its workers; more are refused",
    )


class Schedule(Frozen):
    """The times at which an agent is woken. `every` counts from the epoch in UTC."""

    name: AgentName
    prompt: str = Field(min_length=1)
    every: Duration | None = None
    cron: str | None = None
    timezone: str = "UTC"
    overlap: Literal["skip", "queue"] = "skip"
    missed: Literal["last", "none", "all"] = "last"

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"'{value}' is no time zone; write one like Europe/London") from error
        return value

    @field_validator("cron")
    @classmethod
    def _valid_cron(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                CronSim(value, _ANY_TIME)
            except CronSimError as error:
                raise ValueError(f"'{value}' is no cron line: {error}") from error
        return value

    @model_validator(mode="after")
    def _one_rhythm(self) -> Schedule:
        if (self.every is None) == (self.cron is None):
            raise ValueError("give either 'every' or 'cron'")
        return self


class ToolChoice(Frozen):
    """A tool by file and function; `repeatable` if a call may be made twice without harm."""

    function: Annotated[str, Field(pattern=r"^[^:]+\.py:[A-Za-z_]\w*$"), Wanted(TOOL_FORM)]
    repeatable: bool = False


def _tool_by_function(value: object) -> object:
    if isinstance(value, str):
        return {"function": value}
    if isinstance(value, dict | ToolChoice):
        return value
    raise ValueError(f"write {TOOL_FORM}")


_Entries = tuple[str | ToolChoice | Schedule, ...]


class Definition(Frozen):
    """One agent, as its file defines it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: AgentName
    description: str = ""
    preamble: str = ""
    model: ModelChoice = ModelChoice()
    tool_protocol: ToolProtocol | None = None
    workers: tuple[AgentName, ...] = ()
    tools: tuple[Annotated[ToolChoice, BeforeValidator(_tool_by_function)], ...] = ()
    output: Annotated[JsonObject | str | None, BeforeValidator(checked_output)] = Field(
        default=None,
        exclude_if=lambda output: output is None,  # earlier versions don't know the field
        description="the JSON schema of its answers, or a reference to it until it is loaded",
    )
    swarm: AgentName | None = None
    on_peer: Literal["remember", "react"] = "remember"
    tick: Duration | None = None
    schedule: tuple[Schedule, ...] = ()
    foreign_clients: bool = Field(
        default=False,
        exclude=True,  # no run depends on it
        description="its broker user may publish responses to queues of foreign clients",
    )
    limits: Limits = Limits()

    @field_validator("name")
    @classmethod
    def _own_name(cls, value: str) -> str:
        if value in RESERVED:
            raise ValueError(f"'{value}' is reserved for commands; choose another name")
        return value

    @field_validator("model", mode="before")
    @classmethod
    def _model_by_name(cls, value: object) -> object:
        if isinstance(value, dict | ModelChoice):
            return value
        if isinstance(value, str):
            return {"name": value}
        raise ValueError("write a model's name in quotes, or keys such as {name: …}")

    @field_validator("workers", "tools", "schedule")
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
        names = [sanitised(_label(it).rpartition(":")[2]) for it in (*workers, *value)]
        if twice := _twice(names):
            raise ValueError(
                f"two of the tools and workers are called '{twice}' for the model; rename one"
            )
        if len(names) > MOST_CALLABLE:
            raise ValueError(f"{len(names)} tools and workers; endpoints take {MOST_CALLABLE}")
        return value


def _label(entry: str | ToolChoice | Schedule) -> str:
    match entry:
        case ToolChoice():
            return entry.function
        case Schedule():
            return entry.name
        case _:
            return entry


def is_name(text: str) -> bool:
    """Whether an agent can have this name."""
    return re.fullmatch(AGENT_NAME, text) is not None and text not in RESERVED


def _twice(names: Iterable[str]) -> str | None:
    return min((name for name, times in Counter(names).items() if times > 1), default=None)


Definitions = Mapping[str, Definition]
