"""A client's request as a task."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus

from fastapi import Request

from services.gateway.access.caller import Caller
from services.gateway.gateway import Gateway
from services.gateway.openai import task_ids
from services.gateway.openai.conversation import Message, conversation
from services.gateway.openai.requests import ChatRequest, ResponsesRequest
from services.gateway.openai.task_ids import Kind
from services.gateway.openai.wire.errors import RequestError, too_long
from services.gateway.tasks.submission import SENDER
from shared.contract.messages import MAX_BODY_BYTES, Task, encode
from shared.contract.priority import Priority
from shared.definitions.model import Definition

SPARE_BYTES = 4096
"""For what is added to a task until it is sent."""


def agent_of(gateway: Gateway, caller: Caller, model: str) -> Definition | None:
    """The definition of the agent that a request names; None if its file has a fault.

    Raises 404 if there is no such agent, 403 if the caller may not use it.
    """
    if model not in gateway.folder.names:
        raise unknown_model(model)
    caller.check(model)
    return gateway.folder.found.get(model)


def unknown_model(model: str) -> RequestError:
    detail = f"there is no agent '{model[:80]}': GET /v1/models lists them"
    return RequestError(HTTPStatus.NOT_FOUND, detail, code="model_not_found", param="model")


async def task_of(
    gateway: Gateway,
    caller: Caller,
    request: Request,
    asked: ChatRequest | ResponsesRequest,
    messages: Sequence[Message],
    *,
    session: str | None,
    knows: bool,
) -> Task:
    """The task of a request. `knows`: the agent knows the earlier messages by the session.

    A response without a session begins one, in which the next response can go on. What a chat page
    asks on its own has one too, so it is neither part of the conversation nor broadcast to a swarm.
    Raises 400 if the text is too long.
    """
    agent = asked.model
    said = conversation(messages, in_session=knows)
    is_response = isinstance(asked, ResponsesRequest)
    kind: Kind = "resp" if is_response else "chatcmpl"
    id = await task_ids.task_id(
        gateway.store, kind, caller.key_id, agent, request.headers, await request.body()
    )
    own_session = said.is_side_request or (session is None and is_response)
    definition = gateway.folder.found.get(agent)
    has_schema = definition is not None and definition.output is not None
    task = Task(
        id=id,
        sender=SENDER,
        sent_at=datetime.now(UTC),
        content=said.content,
        context=said.context,
        session=id if own_session else session,
        # An answer with a schema is checked before it is one, so its text is not streamed.
        stream=asked.streamed and not has_schema,
        priority=Priority.BACKGROUND if said.is_side_request else Priority.INTERACTIVE,
    )
    if len(encode(task)) > MAX_BODY_BYTES - SPARE_BYTES:
        raise too_long(f"the text has more than {MAX_BODY_BYTES // 1024} KiB, which no agent takes")
    return task
