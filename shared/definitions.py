"""The agents' files: what a user edits, validated, with every fault named by file and field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import yaml
from cronsim import CronSim, CronSimError
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    field_validator,
    model_validator,
)

from shared.errors import SettingsError
from shared.messages import AgentName, Frozen

_ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)
RESERVED = {"all", "scheduler"}
"""What commands and routing keys call everybody, and the scheduler."""
_DURATION = re.compile(r"^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$")


def _duration(value: object) -> object:
    """`10s`, `5m`, `1h30m`; a bare number would leave the unit to be guessed."""
    if not isinstance(value, str):
        if isinstance(value, timedelta):
            return value
        raise ValueError("write a duration with its unit, such as 10s, 5m or 1h30m")
    match = _DURATION.match(value)
    if not value or match is None:
        raise ValueError(f"'{value}' is no duration; write 10s, 5m or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    length = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if not length:
        raise ValueError("a duration is longer than zero")
    return length


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(lambda value: f"{int(value.total_seconds())}s", return_type=str),
]


class ModelChoice(Frozen):
    """Which model speaks, where it differs from the process's `OPENAI_*` settings."""

    name: str | None = None
    base_url: str | None = None
    api_key_env: str | None = Field(default=None, description="name of the variable, not the key")


class Limits(Frozen):
    turns: int = Field(default=10, ge=1, le=1000, description="model calls in one run")
    depth: int = Field(default=4, ge=1, le=32, description="agents in one chain of calls")
    timeout: Duration = Field(default=timedelta(minutes=10), description="of one run")
    concurrency: int = Field(default=8, ge=1, le=1024, description="runs at once in one process")


class Schedule(Frozen):
    """When to wake an agent. `every` counts from the epoch in UTC; `cron` has a time zone."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
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
    """A tool by file and function; `repeatable` when a call may be made twice without harm."""

    function: Annotated[str, Field(pattern=r"^[^:]+\.py:[A-Za-z_]\w*$")]
    repeatable: bool = False


def _tool_by_function(value: object) -> object:
    return {"function": value} if isinstance(value, str) else value


class Definition(Frozen):
    """One agent, as its file says it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: AgentName
    description: str = ""
    preamble: str = ""
    model: ModelChoice = ModelChoice()
    tool_protocol: Literal["native", "schema"] | None = None
    workers: tuple[AgentName, ...] = ()
    tools: tuple[Annotated[ToolChoice, BeforeValidator(_tool_by_function)], ...] = ()
    swarm: AgentName | None = None
    on_peer: Literal["remember", "react"] = "remember"
    tick: Duration | None = None
    schedule: tuple[Schedule, ...] = ()
    foreign_clients: bool = Field(
        default=False,
        exclude=True,  # no run lives on it
        description="its user on the broker may answer in queues that are not ours",
    )
    limits: Limits = Limits()

    @field_validator("name")
    @classmethod
    def _own_name(cls, value: str) -> str:
        if value in RESERVED:
            raise ValueError(f"'{value}' is taken: commands call others so; choose another name")
        return value

    @field_validator("model", mode="before")
    @classmethod
    def _model_by_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _no_doubles(self) -> Definition:
        for label, names in (
            ("workers", self.workers),
            ("tools", [tool.function for tool in self.tools]),
            ("schedule", [schedule.name for schedule in self.schedule]),
        ):
            twice = {name for name in names if list(names).count(name) > 1}
            if twice:
                raise ValueError(f"{label}: '{min(twice)}' stands there twice")
        return self


Definitions = Mapping[str, Definition]


def load(folder: Path) -> Definitions:
    """Every agent in a folder, by name, checked on its own and against the others.

    Raises `SettingsError` with one line a fault: file, field, what is wrong.
    """
    if not folder.is_dir():
        raise SettingsError(
            f"there is no folder of agents at '{folder}'; set HUTCH_AGENTS or run 'hutch init'"
        )
    files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    if not files:
        raise SettingsError(f"the folder '{folder}' holds no agent; add a file such as alice.yaml")
    found: dict[str, Definition] = {}
    faults: list[str] = []
    for file in files:
        try:
            definition = read(file)
        except SettingsError as error:
            faults.append(str(error))
            continue
        if definition.name in found:
            faults.append(f"{file}: name: another file already defines '{definition.name}'")
        found[definition.name] = definition
    if not faults:
        faults = [*_unknown_workers(folder, found), *_cycles(folder, found)]
    if faults:
        raise SettingsError("\n".join(faults))
    return found


def read(file: Path) -> Definition:
    """One agent's file by itself; raises `SettingsError` naming file and field."""
    try:
        fields = yaml.safe_load(file.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        at = getattr(error, "problem_mark", None)
        line = f":{at.line + 1}" if at else ""
        raise SettingsError(
            f"{file}{line}: not YAML: {getattr(error, 'problem', error)}"
        ) from error
    if not isinstance(fields, dict):
        raise SettingsError(f"{file}: an agent's file is a mapping with at least 'name'")
    try:
        return Definition.model_validate(fields)
    except ValidationError as error:
        raise SettingsError("\n".join(_faults(file, fields, error))) from error


def _faults(file: Path, fields: dict[str, Any], error: ValidationError) -> list[str]:
    lines = []
    for fault in error.errors(include_url=False):
        where = ".".join(str(part) for part in fault["loc"]) or "the file"
        said = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            known = ", ".join(sorted(Definition.model_fields))
            said = "unknown key" + (f"; known are {known}" if len(fault["loc"]) == 1 else "")
        lines.append(f"{file}: {where}: {said}")
    return lines


def _unknown_workers(folder: Path, found: Definitions) -> list[str]:
    return [
        f"{folder / name}.yaml: workers: no agent '{worker}'; known are {', '.join(sorted(found))}"
        for name, definition in found.items()
        for worker in definition.workers
        if worker not in found
    ]


def _cycles(folder: Path, found: Definitions) -> list[str]:
    faults: list[str] = []
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            cycle = " -> ".join((*path[path.index(name) :], name))
            faults.append(f"{folder / name}.yaml: workers: a cycle: {cycle}")
        elif name not in done:
            for worker in found[name].workers if name in found else ():
                visit(worker, (*path, name))
            done.add(name)

    for name in sorted(found):
        visit(name, ())
    return faults
