"""The overview: what needs a person, the agents, and the last hour."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from services.gateway import gateway as gateways
from services.gateway.access.caller import Reader
from services.gateway.api.agents import AgentRow, rows
from services.gateway.system.attention import Attention, attention
from services.gateway.system.history import Minute
from services.gateway.system.observation import Observation

router = APIRouter(tags=["system"])


class Group(BaseModel):
    """A swarm; each member gets the broadcasts of the others."""

    model_config = ConfigDict(frozen=True)

    name: str
    members: list[str]


class Scheduler(BaseModel):
    model_config = ConfigDict(frozen=True)

    processes: int | None = Field(description="null while the store can't be read")
    schedules: int


class Overview(BaseModel):
    model_config = ConfigDict(frozen=True)

    at: datetime
    agents: list[AgentRow]
    groups: list[Group]
    scheduler: Scheduler
    attention: list[Attention] = Field(description="empty: nothing needs a person")
    minutes: list[Minute] = Field(description="the last hour, oldest first")


@router.get("/api/overview")
async def overview(caller: Reader, request: Request) -> Overview:
    """The system at a glance; each part is some seconds old at most."""
    observation: Observation = request.app.state.observation
    gateway = gateways.of(request)
    observed = await observation.observed()
    minutes = await observation.history.minutes(caller.sees) if observed.status.store else []
    groups = defaultdict(list)
    for it in gateway.folder.found.values():
        if it.swarm and caller.sees(it.name):
            groups[it.swarm].append(it.name)
    return Overview(
        at=datetime.now(UTC),
        agents=rows(gateway.folder, observed.status, caller.sees),
        groups=[Group(name=name, members=members) for name, members in sorted(groups.items())],
        scheduler=Scheduler(
            processes=observed.status.scheduler,
            schedules=sum(caller.sees(it.agent) for it in observed.status.schedules),
        ),
        attention=attention(
            observed,
            gateway.folder.faults,
            caller.sees,
            all_agents=caller.agents is None,
        ),
        minutes=minutes,
    )
