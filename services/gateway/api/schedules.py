"""The schedules, and ticks by hand."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from services.gateway import gateway as gateways
from services.gateway.access import audit
from services.gateway.access.caller import Operator, Reader
from services.gateway.api.tasks import IdempotencyKey
from services.gateway.gateway import Gateway
from services.gateway.problems import Problem
from services.gateway.tasks.submission import message_id
from shared.broker.publisher import Outgoing
from shared.client.ask import declare_mailbox
from shared.contract.messages import AGENT_NAME, Trigger, encode, run_id
from shared.contract.topology import SCHEDULER, TASKS, mailbox_name
from shared.definitions.schedules.schedule import Schedule
from shared.definitions.schedules.times import following
from shared.errors import BrokerError
from shared.store.messages import ticks
from shared.store.messages.dead_letters import known_runs
from shared.store.messages.ticks import Tick, TickOutcome
from shared.store.queries.condition import condition, schedule_ticks

COMING = 5

router = APIRouter(tags=["schedules"])


class LastTick(BaseModel):
    model_config = ConfigDict(frozen=True)

    nominal_at: datetime
    outcome: TickOutcome
    run_id: str | None
    status: str | None = Field(description="null while no agent has taken it")


class ScheduleRow(BaseModel):
    model_config = ConfigDict(frozen=True)

    agent: str
    name: str
    expression: str = Field(description="a cron line, or like 'every 5m'")
    timezone: str
    next_at: list[datetime] = Field(description=f"the next times, at most {COMING}")
    last: LastTick | None = Field(description="null: no tick was due yet")


class Schedules(BaseModel):
    model_config = ConfigDict(frozen=True)

    schedules: list[ScheduleRow]


class Started(BaseModel):
    """A tick by hand: the id of its message, and the run that it becomes."""

    model_config = ConfigDict(frozen=True)

    id: str
    agent: str
    run_id: str


@router.get("/api/schedules")
async def list_schedules(caller: Reader, request: Request) -> Schedules:
    return Schedules(schedules=await schedule_rows(gateways.of(request), caller.sees))


async def schedule_rows(gateway: Gateway, sees: Callable[[str], bool]) -> list[ScheduleRow]:
    """The schedules of the agents that `sees` accepts, by agent and name."""
    known = {
        (it.name, one.name): one
        for it in gateway.folder.found.values()
        for one in it.schedule
        if sees(it.name)
    }
    store = gateway.store
    decided = await store.read(partial(schedule_ticks, schedules=known))
    now = (await store.read(condition)).now
    ids = {key: run_id(key[0], it.message_id) for key, it in decided.items() if it.message_id}
    taken = await store.read(partial(known_runs, run_ids=list(ids.values())))
    rows = []
    for key, schedule in sorted(known.items()):
        last, run = decided[key], ids.get(key)
        status = taken[run].status if run in taken else None
        rows.append(
            ScheduleRow(
                agent=key[0],
                name=key[1],
                expression=_expression(schedule),
                timezone=schedule.timezone if schedule.cron else "UTC",
                next_at=list(islice(following(schedule, now), COMING)),
                last=LastTick(nominal_at=last.last, outcome=last.outcome, run_id=run, status=status)
                if last.last and last.outcome
                else None,
            )
        )
    return rows


@router.post("/api/schedules/{agent}/{name}/run", status_code=HTTPStatus.ACCEPTED)
async def run_schedule(
    agent: Annotated[str, Path(pattern=AGENT_NAME)],
    name: Annotated[str, Path(max_length=40)],
    caller: Operator,
    request: Request,
    idempotency_key: IdempotencyKey = None,
) -> Started:
    """Wake an agent now as its schedule would: with its prompt, and by its rule for overlaps.

    Refused with 409 if the schedule skips a tick while the one before it is open, and it is. The
    schedule's own times stay as they are. The tick is not lost if this gateway dies.
    """
    caller.check(agent)
    gateway = gateways.of(request)
    definition = gateway.folder.found.get(agent)
    found = [it for it in definition.schedule if it.name == name] if definition else []
    if not found:
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no schedule '{agent}.{name}'")
    schedule = found[0]
    asked = _tick(agent, schedule, message_id(caller, idempotency_key)[:16])
    await audit.record(gateway.store, caller, "schedule.run", f"{agent}.{name}", asked.tick_id)
    settle = partial(
        ticks.settle_by_hand,
        tick=asked,
        coming=partial(following, schedule),
        skip=schedule.overlap == "skip",
    )
    tick = await gateway.store.write(asked.tick_id, settle)
    if tick is None:
        raise Problem(
            HTTPStatus.CONFLICT,
            f"the tick before it is still open, and {agent}.{name} skips ticks then "
            "(overlap: skip)",
        )
    if tick.outcome is TickOutcome.SENDING:
        with suppress(BrokerError):  # any scheduler sends it, when the broker takes it
            await _send(gateway, tick)
    return Started(id=tick.tick_id, agent=agent, run_id=run_id(agent, tick.tick_id))


async def _send(gateway: Gateway, tick: Tick) -> None:
    if await gateway.broker.depth(mailbox_name(tick.agent)) is None:
        await declare_mailbox(gateway.broker, tick.agent)
    body = (tick.message or "").encode()
    message = Outgoing(TASKS, tick.agent, body, message_id=tick.published_as)
    await gateway.broker.publisher.publish(message)
    await gateway.store.write(tick.tick_id, partial(ticks.record_sent, tick=tick))


def _tick(agent: str, schedule: Schedule, unique: str) -> Tick:
    tick_id = f"{agent}.{schedule.name}@hand.{unique}"
    trigger = Trigger(
        id=tick_id,
        root_id=tick_id,
        content=schedule.prompt,
        schedule=schedule.name,
        sender=SCHEDULER,
    )
    return Tick(
        tick_id,
        agent,
        schedule.name,
        datetime.now(UTC),
        TickOutcome.SENDING,
        encode(trigger).decode(),
        tick_id,
    )


def _expression(schedule: Schedule) -> str:
    if schedule.cron is not None:
        return schedule.cron
    seconds = round(schedule.every.total_seconds()) if schedule.every else 0
    units = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    unit, length = next((it for it in units if seconds % it[1] == 0), ("s", 1))
    return f"every {seconds // length}{unit}"
