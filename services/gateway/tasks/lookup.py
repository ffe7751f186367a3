"""Tasks as clients see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from services.gateway.access.caller import Caller
from services.gateway.problems import Problem
from shared.contract.approvals import ApprovalState
from shared.contract.messages import Response, Usage, run_id
from shared.contract.rows import readable_response
from shared.definitions.model import is_name
from shared.store import Store
from shared.store.messages import sent
from shared.store.queries import progress
from shared.store.queries.progress import RunProgress, TreeProgress

TaskStatus = Literal[
    "sent",
    "due",
    "running",
    "waiting",
    "parked",
    "ok",
    "partial",
    "refused",
    "failed",
    "timeout",
    "cancelled",
]


class Links(BaseModel):
    self: str
    events: str
    run: str


class TaskApproval(BaseModel):
    """A call that needs approval; `/api/approvals/{id}` has its arguments."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: Annotated[str, Field(validation_alias="approval_id")]
    agent: str
    kind: Annotated[str, Field(description="tool or worker")]
    name: str
    turn: int
    position: int
    state: ApprovalState
    asked_at: datetime
    expires_at: Annotated[datetime, Field(description="after it, the call is denied")]
    decided_at: datetime | None
    decided_by: str | None


class TaskView(BaseModel):
    """A task and, once it has ended, its response."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "5d1c7e0c4c1f4c6f8d0a1b2c3d4e5f60",
                    "agent": "alice",
                    "run_id": "9f86d081884c7d659a2feaa0c55ad015",
                    "status": "ok",
                    "content": "Three tickets are open.",
                    "data": None,
                    "usage": {"model_calls": 2, "input_tokens": 812, "output_tokens": 40},
                    "cost": None,
                    "created_at": "2026-11-30T09:00:00Z",
                    "ended_at": "2026-11-30T09:00:04Z",
                    "links": {
                        "self": "/api/tasks/5d1c7e0c4c1f4c6f8d0a1b2c3d4e5f60?agent=alice",
                        "events": "/api/tasks/5d1c7e0c4c1f4c6f8d0a1b2c3d4e5f60/events?agent=alice",
                        "run": "/api/runs/9f86d081884c7d659a2feaa0c55ad015",
                    },
                }
            ]
        },
    )

    id: str
    agent: str
    run_id: Annotated[str, Field(description="the id that its run has, or will have")]
    status: Annotated[
        TaskStatus,
        Field(
            description="`sent` until an agent has taken it, then the state of its run, then how "
            "that ended"
        ),
    ]
    content: Annotated[str | None, Field(description="the answer")] = None
    data: Annotated[
        JsonValue, Field(description="the answer as JSON, if the agent's answers have a schema")
    ] = None
    usage: Annotated[Usage | None, Field(description="its workers' included")] = None
    cost: Annotated[
        float | None, Field(description="in USD; only under a budget with a `cost`")
    ] = None
    created_at: Annotated[
        datetime | None, Field(description="when it was sent, as far as that is known")
    ] = None
    ended_at: datetime | None = None
    approvals: Annotated[
        list[TaskApproval],
        Field(description="calls of the task, and of all that it has caused, that wait for one"),
    ] = []
    links: Links


@dataclass(frozen=True)
class Known:
    """A task that the store knows."""

    agent: str
    task_id: str
    run: RunProgress | None


def path(agent: str, task_id: str, what: str = "") -> str:
    return f"/api/tasks/{quote(task_id, safe='')}{what}?agent={agent}"


async def find(store: Store, caller: Caller, task_id: str, agent: str | None) -> Known:
    """The task with this id. Raises a `Problem` if there is none that the caller may see, or more
    than one."""
    found: dict[str, RunProgress | None] = {
        it: None
        for it in await store.read(partial(sent.receivers, message_id=task_id))
        if is_name(it)
    }
    found |= {it.agent: it for it in await store.read(partial(progress.runs_of, task_id=task_id))}
    visible = {it: run for it, run in found.items() if agent in {None, it} and caller.sees(it)}
    if not visible:
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no task '{task_id}'")
    if len(visible) > 1:
        names = ", ".join(sorted(visible))
        raise Problem(
            HTTPStatus.BAD_REQUEST, f"several agents have a task '{task_id}' ({names}): add ?agent="
        )
    [(name, run)] = visible.items()
    return Known(name, task_id, run)


def conflict(agent: str, task_id: str) -> Problem:
    return Problem(
        HTTPStatus.CONFLICT,
        f"the id '{task_id}' belongs to another task of {agent}: use a new one",
    )


async def view(store: Store, agent: str, task_id: str, reply: Response | None = None) -> TaskView:
    """The task as the store has it now, see `view_of`."""
    found = await store.read(partial(progress.end, run_id=run_id(agent, task_id)))
    sent_at = await store.read(partial(progress.sent_at, agent=agent, task_id=task_id))
    return view_of(agent, task_id, found, sent_at, reply)


def is_of_run(reply: Response, run_id: str) -> bool:
    """Whether a reply is the response of this run. Otherwise it refuses a message that has none."""
    return (reply.id or "").startswith(f"{run_id}.")


def view_of(
    agent: str,
    task_id: str,
    found: TreeProgress,
    sent_at: float | None = None,
    reply: Response | None = None,
) -> TaskView:
    """The task as the store has it, or as a reply says that came without a run: a refusal.

    Raises a `Problem` if the refused one is not the one that the store has.
    """
    own = run_id(agent, task_id)
    run = found.run(own)
    if reply and run and not is_of_run(reply, own):
        raise conflict(agent, task_id)
    answered: Mapping[str, object] = {}
    if found.response is not None:
        answered = _fields(readable_response(found.response, agent, task_id))
    elif reply is not None:
        answered = _fields(reply)
    claimed_at, ended_at = (run.claimed_at, run.ended_at) if run else (None, None)
    state = run.status if run else "sent"
    return TaskView.model_validate(
        {
            "id": task_id,
            "agent": agent,
            "run_id": own,
            "status": state,
            "created_at": claimed_at if sent_at is None else datetime.fromtimestamp(sent_at, UTC),
            "ended_at": ended_at or (reply and reply.sent_at),
            "approvals": [TaskApproval.model_validate(it) for it in found.pending],
            "links": {
                "self": path(agent, task_id),
                "events": path(agent, task_id, "/events"),
                "run": f"/api/runs/{own}",
            },
            **answered,
        }
    )


def _fields(response: Response) -> Mapping[str, object]:
    return {
        "status": response.status,
        "content": response.content,
        "data": response.data,
        "usage": response.usage,
        "cost": response.usage.cost,
    }
