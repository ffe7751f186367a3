"""Responses as the store has them: for clients that come back, at any gateway."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from services.gateway.access.caller import Caller
from services.gateway.gateway import Gateway
from services.gateway.openai import task_ids
from services.gateway.openai.errors import RequestError
from services.gateway.openai.response_objects import Conversation, ResponseObject, ended
from shared.contract.messages import Task, Trigger, run_id
from shared.contract.rows import message_of, response_of
from shared.errors import DamagedRow
from shared.store import Store
from shared.store.queries import progress
from shared.store.queries.progress import TreeProgress
from shared.store.schema import RunState


@dataclass(frozen=True)
class StoredResponse:
    """`begun` is the response before its run had ended, `now` as it is."""

    agent: str
    begun: ResponseObject
    now: ResponseObject


async def find(gateway: Gateway, caller: Caller, response_id: str) -> StoredResponse:
    """A response of an agent that the caller may use; raises 404 for any other id.

    Of what its request had, only the conversation is known.
    """
    agent = task_ids.agent_of(response_id)
    if agent is None or not caller.sees(agent):
        raise _unknown(response_id)
    found = await _read(gateway.store, agent, response_id)
    run = found.run(run_id(agent, response_id))
    if run is None:
        sent_at = await gateway.store.read(
            partial(progress.sent_at, agent=agent, task_id=response_id)
        )
        if sent_at is None:
            raise _unknown(response_id)
        begun = _begun(response_id, agent, sent_at)
        return StoredResponse(agent, begun, begun.model_copy(update={"status": "queued"}))
    begun = _begun(response_id, agent, run.claimed_at.timestamp(), _message(found))
    if found.response is None:
        status = "queued" if run.status == RunState.DUE else "in_progress"
        return StoredResponse(agent, begun, begun.model_copy(update={"status": status}))
    return StoredResponse(agent, begun, ended(begun, response_of(found.response)))


async def session_after(store: Store, response_id: str, agent: str) -> str:
    """The session of an earlier response, in which the next one goes on.

    Raises 400 if it is not known or of another agent, 409 if no agent has taken it yet.
    """
    of = task_ids.agent_of(response_id)
    if of is not None and of != agent:
        raise _not_before(f"the response '{response_id}' is of the agent '{of}', not of '{agent}'")
    found = await _read(store, agent, response_id)
    message = _message(found)
    if message is not None and message.session is not None:
        return message.session
    if not found.runs and await store.read(
        partial(progress.sent_at, agent=agent, task_id=response_id)
    ):
        raise RequestError(
            HTTPStatus.CONFLICT,
            f"no process of '{agent}' has taken the response '{response_id}' yet: try again",
            code="previous_response_not_begun",
            headers={"x-should-retry": "true", "retry-after": "1"},
        )
    raise _not_before(f"there is no response '{response_id[:128]}' to go on from")


async def _read(store: Store, agent: str, response_id: str) -> TreeProgress:
    return await store.read(partial(progress.tree, followed=run_id(agent, response_id), wanted=_no))
