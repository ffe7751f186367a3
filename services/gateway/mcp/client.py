"""The client of a request: who it is, and what identifies its calls."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from mcp.server.context import ServerRequestContext
from mcp_types import RequestId
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.requests import Request

from services.gateway.access.caller import Caller
from services.gateway.tasks.submission import message_id
from shared.store.processes.api_keys import Scope

Context = ServerRequestContext[object, Request]
"""The SDK's context of a request."""


@dataclass(frozen=True)
class Client:
    caller: Caller
    session: str = ""
    """A prefix that makes the ids of its requests unique; empty for a client without a session."""
    key: str | None = None
    """The idempotency key of this request."""
    leaving_cancels: bool = False
    """Whether the client cancels a call by leaving, as the revisions since 2026 say."""

    def task_id(self, request_id: RequestId | None) -> str:
        """The id of the task that a call is: the same for a repeated call, as far as that is known,
        and one that can't be guessed for any other."""
        if self.key is not None:
            return message_id(self.caller, self.key)
        if not self.session:
            return uuid4().hex
        parts = ("mcp", self.caller.key_id, self.session, str(request_id))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


ClientOf = Callable[[Context], Client]


def http_client(context: Context) -> Client:
    request = context.request
    assert request is not None  # the SDK has made the context of one
    return Client(
        request.state.caller,
        request.headers.get("mcp-session-id", ""),
        request.headers.get("idempotency-key"),
        _leaving_cancels(context),
    )


def local_client(session: str) -> ClientOf:
    """The one client of this process's stdin. It may do everything: it can read the settings."""
    caller = Caller("", "mcp", frozenset(Scope), None)
    return lambda context: Client(caller, session, None, _leaving_cancels(context))


def _leaving_cancels(context: Context) -> bool:
    return context.protocol_version in MODERN_PROTOCOL_VERSIONS
