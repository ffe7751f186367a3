"""Who sends a request and what they may do, as dependencies of FastAPI.

The guard finds the caller before the request's body is read (see `services.gateway.access.guard`).
Each route has one of these dependencies; the OpenAPI shows which scope it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from services.gateway.problems import Problem
from shared.store.processes.api_keys import ApiKey, Scope


def _unlimited() -> None:
    pass


@dataclass(frozen=True)
class Caller:
    key_id: str
    """Empty where no key is needed."""
    name: str
    scopes: frozenset[Scope]
    agents: frozenset[str] | None
    """The only agents that this caller may see and use; None: all."""
    count_stream: Callable[[], None] = field(default=_unlimited, compare=False)
    """To be called before a stream's work begins: raises 429 if too many streams are open. The
    stream counts until the response has ended."""

    def need(self, scope: Scope) -> None:
        """Raise 403 if the caller lacks a scope."""
        if scope not in self.scopes:
            raise Problem(
                HTTPStatus.FORBIDDEN,
                f"the key '{self.name}' lacks the scope '{scope}', which this needs",
            )

    def sees(self, agent: str) -> bool:
        return self.agents is None or agent in self.agents

    def check(self, agent: str) -> None:
        """Raise 403 if the caller may not use this agent; `all` is only for callers of all."""
        if not self.sees(agent):
            raise Problem(
                HTTPStatus.FORBIDDEN, f"the key '{self.name}' is not for the agent '{agent}'"
            )

    def check_all(self, why: str) -> None:
        """Raise 403 if this caller is limited to some agents; `why` says what needs all of them."""
        if self.agents is not None:
            raise Problem(
                HTTPStatus.FORBIDDEN, f"the key '{self.name}' is limited to some agents, and {why}"
            )


OPEN = Caller("", "open", frozenset(Scope), None)
"""Every caller where no key is needed."""


def caller_with(key: ApiKey, count_stream: Callable[[], None]) -> Caller:
    return Caller(key.key_id, key.name, key.scope.included(), key.agents, count_stream)


_bearer = HTTPBearer(
    auto_error=False, scheme_name="key", description="A key that 'hutch keys add' has made."
)


def _caller(
    request: Request,
    needed: SecurityScopes,
    _: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Caller:
    caller: Caller = request.state.caller
    for scope in needed.scopes:
        caller.need(Scope(scope))
    return caller


Reader = Annotated[Caller, Security(_caller, scopes=[Scope.READ])]
Runner = Annotated[Caller, Security(_caller, scopes=[Scope.RUN])]
Operator = Annotated[Caller, Security(_caller, scopes=[Scope.OPERATE])]
