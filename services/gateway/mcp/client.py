"""The client of a request: who it is, and what identifies its calls."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from uuid import uuid4

from mcp.server.context import ServerRequestContext
from mcp_types import RequestId
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.requests import Request

from services.gateway.access.caller import Caller
from services.gateway.tasks.submission import message_id
from shared.store import Store

SESSION_HEADER = "mcp-session-id"

Context = ServerRequestContext[object, Request]
"""What the SDK knows of a request; `request` is None over stdin."""


@dataclass(frozen=True)
class Client:
    caller: Caller
    session: str = ""
    """What makes the ids of its requests unique; empty for clients without one."""
    key: str | None = None
    """The idempotency key of this request."""
    leaving_cancels: bool = False
    """Whether it cancels a call by closing the response, as it must over HTTP since 2026."""

    @classmethod
    def over_http(cls, context: Context, request: Request) -> Client:
        return cls(
            request.state.caller,
            request.headers.get(SESSION_HEADER, ""),
            request.headers.get("idempotency-key"),
            context.protocol_version in MODERN_PROTOCOL_VERSIONS,
        )

    def task_id(self, request_id: RequestId | None) -> str:
        """The id of the task that a call is: the same for a repeated call, as far as that is known,
        and one that can't be guessed for any other."""
        if self.key is not None:
            return message_id(self.caller, self.key)
        if not self.session or request_id is None:
            return uuid4().hex
        parts = ("mcp", self.caller.key_id, self.session, repr(request_id))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
