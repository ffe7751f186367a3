"""The status of the whole system, and the audit table."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict

from services.gateway import gateway as gateways
from services.gateway.access.caller import Operator, Reader
from services.gateway.system.observation import Observation
from shared.client.system.status import SystemStatus
from shared.store.processes import audit

router = APIRouter(tags=["system"])

ALL = "this shows all of them"


class AuditRow(BaseModel):
    """An action of a client. `key_id` is empty where no key was needed."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    seq: int
    at: datetime
    key_id: str
    key_name: str
    action: str
    subject: str
    detail: str


class Audit(BaseModel):
    model_config = ConfigDict(frozen=True)

    rows: list[AuditRow]
    next: int | None


@router.get("/api/status")
async def status(caller: Reader, request: Request) -> SystemStatus:
    """The status of the system, as 'hutch status --json' prints it."""
    caller.check_all(ALL)
    observation: Observation = request.app.state.observation
    return await observation.status()


@router.get("/api/audit")
async def list_audit(
    caller: Operator,
    request: Request,
    before: Annotated[int | None, Query(ge=0, le=2**62)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Audit:
    """The actions of clients, the newest first."""
    caller.check_all(ALL)
    store = gateways.of(request).store
    found = await store.read(partial(audit.newest, limit=limit, before=before))
    return Audit(
        rows=[AuditRow.model_validate(it) for it in found],
        next=found[-1].seq if len(found) == limit else None,
    )
