"""Waking agents: one, or all members of a swarm."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from services.gateway.access.audit import record
from services.gateway.access.caller import Runner
from services.gateway.api.tasks import IdempotencyKey, Text
from services.gateway.problems import Problem
from services.gateway.tasks import lookup
from services.gateway.tasks.hub import SharedHub
from services.gateway.tasks.submission import SENDER, check_unused, message_id, submit
from shared.client.ask import publish
from shared.contract.messages import AgentName, Content, Id, Trigger, run_id
from shared.contract.priority import Priority
from shared.contract.times import WrittenTime, delay_fault
from shared.contract.topology import swarm_exchange_name
from shared.store.messages import sent

router = APIRouter(prefix="/api", tags=["tasks"])


class NewTrigger(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"agent": "alice", "content": "Sum up the day."}]},
    )

    agent: AgentName
    content: Text = ""
    session: Annotated[Id | None, Field(description="the conversation that it continues")] = None
    priority: Priority = Priority.BACKGROUND
    not_before: Annotated[
        WrittenTime | None, Field(description="it starts no earlier; at most 30 days ahead")
    ] = None
    id: Annotated[
        Id | None,
        Field(description="its id, in place of an `Idempotency-Key`: sent twice, it is run once"),
    ] = None


class Triggered(BaseModel):
    """The id of a trigger; `/api/tasks/{id}` shows what became of it."""

    model_config = ConfigDict(frozen=True)

    id: str
    agent: str
    run_id: Annotated[str, Field(description="the id that its run will have")]


class Broadcast(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"examples": [{"content": "A new day."}]}
    )

    content: Content


class Broadcasted(BaseModel):
    """The id that each member's trigger has."""

    model_config = ConfigDict(frozen=True)

    id: str


@router.post("/triggers", status_code=202)
async def send_trigger(
    new: NewTrigger,
    response: Response,
    hub: SharedHub,
    caller: Runner,
    idempotency_key: IdempotencyKey = None,
) -> Triggered:
    """Wake an agent. Its response is stored."""
    caller.check(new.agent)
    id = new.id or message_id(caller, idempotency_key)
    if idempotency_key and not new.id:
        await check_unused(hub, new.agent, id)
    if fault := delay_fault(new.not_before, None, new.session):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, fault)
    trigger = Trigger(
        id=id,
        content=new.content,
        session=new.session,
        priority=new.priority,
        not_before=new.not_before,
        sender=SENDER,
        sent_at=datetime.now(UTC),
    )
    async with hub.watch(new.agent, id) as watch:
        await submit(hub, watch, trigger, caller)
    response.headers["Location"] = lookup.path(new.agent, id)
    return Triggered(id=id, agent=new.agent, run_id=run_id(new.agent, id))


@router.post("/swarms/{group}/messages", status_code=202)
async def broadcast(
    group: Annotated[AgentName, Path(description="the swarm, as in its members' files")],
    new: Broadcast,
    hub: SharedHub,
    caller: Runner,
    idempotency_key: IdempotencyKey = None,
) -> Broadcasted:
    """Wake every member of a swarm."""
    gateway, exchange = hub.gateway, swarm_exchange_name(group)
    caller.check_all("a swarm may have others")
    if not await gateway.broker.has_exchange(exchange):
        raise Problem(HTTPStatus.NOT_FOUND, f"no agent of a swarm '{group}' has run on this broker")
    id = message_id(caller, idempotency_key)
    trigger = Trigger(id=id, content=new.content, sender=SENDER, sent_at=datetime.now(UTC))
    await record(gateway.store, caller, "swarm.send", f"{group}/{id}")
    await gateway.store.write("", partial(sent.record, message_id=id, receiver=exchange))
    await publish(gateway.broker, exchange, "", trigger)
    return Broadcasted(id=id)
