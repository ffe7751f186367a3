"""The agents: their state, their definition, and their pause."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from services.gateway import gateway as gateways
from services.gateway.access import audit
from services.gateway.access.caller import Caller, Operator, Reader
from services.gateway.api.schedules import ScheduleRow, schedule_rows
from services.gateway.problems import Problem
from services.gateway.system.inspections import Inspections
from services.gateway.system.observation import Observation
from shared.client.system.status import AgentStatus, SystemStatus
from shared.contract.messages import AGENT_NAME
from shared.contract.topology import ALL
from shared.definitions.loader import Folder
from shared.store.processes import pauses
from shared.store.queries.condition import known_agents

router = APIRouter(tags=["agents"])

Name = Annotated[str, Path(pattern=AGENT_NAME, description="an agent's name")]


class _AgentFields(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    description: str
    model: str | None = Field(description="null: the one of the settings")
    workers: list[str]
    swarm: str | None
    processes: int | None
    paused: bool
    queued: int | None = Field(description="messages in its mailbox")
    delayed: int | None
    due: int | None
    postponed: int | None
    running: int | None
    waiting: int | None
    parked: int | None = Field(description="they wait for approval, or for a worker that does")
    approvals: int | None = Field(description="calls of it that wait for approval")
    unsent: int | None
    fault: str | None = Field(description="why its file can't be used")


class AgentRow(_AgentFields):
    """An agent and its work. A number is null while the store or the broker can't be read."""

    schedules: int


class ToolRow(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    description: str


class Agent(_AgentFields):
    """An agent with its file. An agent whose file is not here has an empty definition."""

    definition: str = Field(description="the text of its file, which is YAML")
    advice: list[str] = Field(description="as 'hutch check' gives it")
    tools: list[ToolRow]
    schedules: list[ScheduleRow]


class Paused(BaseModel):
    """Whether the agent is paused now, and whether all agents are."""

    model_config = ConfigDict(frozen=True)

    agent: str
    paused: bool
    all_paused: bool


def rows(folder: Folder, status: SystemStatus, sees: Callable[[str], bool]) -> list[AgentRow]:
    return [_row(folder, it) for it in status.agents if sees(it.agent)]


def _row(folder: Folder, it: AgentStatus) -> AgentRow:
    definition = folder.found.get(it.agent)
    return AgentRow(**_fields(folder, it), schedules=len(definition.schedule) if definition else 0)


def _fields(folder: Folder, it: AgentStatus) -> dict[str, Any]:
    """The fields that a row and the agent itself have in common."""
    definition = folder.found.get(it.agent)
    described = definition or folder.described.get(it.agent)
    work = ("queued", "delayed", "due", "postponed", "running", "waiting", "parked", "approvals")
    return {
        "name": it.agent,
        "description": described.description if described else "",
        "model": definition.model.name if definition else None,
        "workers": [it.name for it in definition.workers] if definition else [],
        "swarm": definition.swarm if definition else None,
        "processes": it.replicas,
        "fault": folder.faults.get(it.agent),
        **{name: getattr(it, name) for name in (*work, "unsent", "paused")},
    }


@router.get("/api/agents/{name}")
async def show_agent(name: Name, caller: Reader, request: Request) -> Agent:
    """One agent. Its tools are imported in a process of their own, which takes a second."""
    caller.check(name)
    gateway = gateways.of(request)
    observation: Observation = request.app.state.observation
    observed = await observation.observed()
    found = next((it for it in observed.status.agents if it.agent == name), None)
    if found is None:
        raise _unknown(name)
    inspections: Inspections = request.app.state.inspections
    inspected = await inspections.of(name)
    fields = _fields(gateway.folder, found)
    return Agent(
        **{**fields, "fault": fields["fault"] or inspected.fault},
        definition=_text(gateway.folder, name),
        advice=list(inspected.advice),
        tools=[ToolRow(name=tool, description=text) for tool, text in inspected.tools],
        schedules=await schedule_rows(gateway, lambda it: it == name),
    )


def _text(folder: Folder, name: str) -> str:
    try:
        return folder.files[name].read_text("utf-8", "replace") if name in folder.files else ""
    except OSError:
        return ""


@router.post("/api/agents/{name}/pause")
async def pause_agent(name: Name, caller: Operator, request: Request) -> Paused:
    """Stop an agent, or `all`, from starting runs and calling models, until it is unpaused."""
    return await _change(name, caller, request, on=True)


@router.post("/api/agents/{name}/unpause")
async def unpause_agent(name: Name, caller: Operator, request: Request) -> Paused:
    """End the pause of an agent. `all` also ends the pauses of agents that were paused by name."""
    return await _change(name, caller, request, on=False)


async def _change(name: str, caller: Caller, request: Request, *, on: bool) -> Paused:
    caller.check(name)
    gateway = gateways.of(request)
    store = gateway.store
    known = name == ALL or name in gateway.folder.names
    if not known and name not in await store.read(known_agents):
        raise _unknown(name)
    await audit.record(store, caller, "agent.pause" if on else "agent.unpause", name)
    change = pauses.pause if on else pauses.unpause
    await store.write("", lambda connection: change(connection, name))
    request.app.state.observation.forget()
    paused = await store.read(pauses.paused)
    return Paused(agent=name, paused=bool({name, ALL} & set(paused)), all_paused=ALL in paused)


def _unknown(name: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, f"there is no agent '{name}'")
