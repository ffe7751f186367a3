"""Responses as the store has them: for clients that come back, at any gateway."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from services.gateway.access.caller import Caller
from services.gateway.openai import task_ids
from services.gateway.openai.wire.errors import RETRY, RequestError
from services.gateway.openai.wire.response_objects import (
    Conversation,
    ResponseObject,
    ResponseStatus,
    ended,
)
from shared.contract.messages import run_id
from shared.contract.rows import readable_response
from shared.store import Store
from shared.store.queries import progress
from shared.store.runs import sessions
from shared.store.schema import RunState


@dataclass(frozen=True)
class StoredResponse:
    """`begun` is the response while its run is open, `now` as it is."""

    agent: str
    begun: ResponseObject
    now: ResponseObject


async def find(store: Store, caller: Caller, response_id: str) -> StoredResponse:
    """A response of an agent that the caller may use; raises 404 for any other id.

    Of what its request had, the conversation alone is known.
    """
    agent = task_ids.agent_of(response_id)
    if agent is None or not caller.sees(agent):
        raise _unknown(response_id)
    own = run_id(agent, response_id)
    found = await store.read(partial(progress.end, run_id=own))
    run = found.run(own)
    if run is None:
        sent_at = await _sent_at(store, agent, response_id)
        if sent_at is None:
            raise _unknown(response_id)
        return _open(agent, _begun(response_id, agent, sent_at), "queued")
    session = await store.read(partial(sessions.session_of, run_id=own))
    begun = _begun(response_id, agent, run.claimed_at.timestamp(), session)
    if found.response is None:
        # A run whose call was just decided on is due, and has been in progress before.
        is_queued = run.status == RunState.DUE and not found.approvals
        return _open(agent, begun, "queued" if is_queued else "in_progress")
    return StoredResponse(
        agent, begun, ended(begun, readable_response(found.response, agent, response_id))
    )


async def session_after(store: Store, response_id: str, agent: str) -> str:
    """The session of an earlier response, in which the next one goes on.

    Raises 400 if there is none at this agent, 409 if the agent has not taken it yet.
    """
    of = task_ids.agent_of(response_id)
    if of is not None and of != agent:
        raise _not_earlier(f"the response '{response_id}' is of '{of}', not of '{agent}'")
    session = await store.read(partial(sessions.session_of, run_id=run_id(agent, response_id)))
    if session is not None:
        return session
    found = await store.read(partial(progress.run, run_id=run_id(agent, response_id)))
    if found is None and await _sent_at(store, agent, response_id) is not None:
        raise RequestError(
            HTTPStatus.CONFLICT,
            f"no process of '{agent}' has taken the response '{response_id}' yet: try again",
            code="previous_response_not_begun",
            headers=RETRY,
        )
    raise _not_earlier(f"there is no response '{response_id[:128]}' to go on from")


async def _sent_at(store: Store, agent: str, response_id: str) -> float | None:
    return await store.read(partial(progress.sent_at, agent=agent, task_id=response_id))


def _begun(id: str, agent: str, at: float, session: str | None = None) -> ResponseObject:
    return ResponseObject(
        id=id,
        created_at=int(at),
        status="in_progress",
        model=agent,
        background=True,
        conversation=Conversation(id=session) if session and session != id else None,
    )


def _open(agent: str, begun: ResponseObject, status: ResponseStatus) -> StoredResponse:
    return StoredResponse(agent, begun, begun.model_copy(update={"status": status}))


def _unknown(response_id: str) -> RequestError:
    detail = f"there is no response '{response_id[:128]}'"
    return RequestError(HTTPStatus.NOT_FOUND, detail, code="response_not_found")


def _not_earlier(detail: str) -> RequestError:
    return RequestError(
        HTTPStatus.BAD_REQUEST,
        detail,
        code="previous_response_not_found",
        param="previous_response_id",
    )
