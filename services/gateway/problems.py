"""Errors as HTTP responses: problem details, see RFC 9457."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from types import MappingProxyType

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Match
from starlette.types import Scope

from shared.errors import BrokerUnavailable, HutchError, StoreUnavailable, Unconfirmed

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"


class ProblemDetails(BaseModel):
    """The body of an error."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class Problem(Exception):
    """An error of a request; `detail` is one sentence for the client."""

    def __init__(
        self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def response(problem: Problem) -> JSONResponse:
    status = problem.status
    body = ProblemDetails(title=status.phrase, status=status.value, detail=problem.detail)
    return JSONResponse(
        body.model_dump(), status.value, headers=problem.headers, media_type=MEDIA_TYPE
    )


def problem_of(error: Exception) -> Problem:
    """The problem that an error means. The text of an unexpected one is only logged."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, BrokerUnavailable | StoreUnavailable | Unconfirmed):
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"Retry-After": "2"})
    if isinstance(error, HutchError):
        return Problem(HTTPStatus.BAD_REQUEST, str(error))
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{place}: {first['msg']}")
    if isinstance(error, HTTPException):
        return Problem(HTTPStatus(error.status_code), str(error.detail), error.headers)
    log.error("a request failed", exc_info=error)
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the gateway failed; its log has the error")


Form = Callable[[Exception], JSONResponse]
"""Makes the response to a request that has failed."""


def _details(error: Exception) -> JSONResponse:
    return response(problem_of(error))


def _allowed(app: FastAPI, scope: Scope) -> Iterator[str]:
    """The methods that this path has: each can have a route of its own."""
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        asked = {**scope, "method": method}
        if any(route.matches(asked)[0] is Match.FULL for route in app.routes):
            yield method


def install(app: FastAPI, forms: Mapping[str, Form] = MappingProxyType({})) -> None:
    """Answer errors as problem details, and below the paths of `forms` in their own form."""

    async def handle(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            error.headers = {"Allow": ", ".join(_allowed(app, request.scope))}
        path = request.url.path
        own = (form for below, form in forms.items() if path.startswith(below))
        return next(own, _details)(error)

    for kind in (Problem, HutchError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, handle)
