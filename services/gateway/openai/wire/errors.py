"""Errors in OpenAI's form."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.responses import JSONResponse

from services.gateway.problems import Problem, problem_of
from shared.contract.rows import storable

NO_RETRY = {"x-should-retry": "false"}
"""Tells OpenAI's own clients not to repeat a request."""

RETRY = {"x-should-retry": "true", "retry-after": "1"}


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """An error in OpenAI's form."""

    error: ErrorDetail


RESPONSES: dict[int | str, dict[str, Any]] = {
    it: {"model": ErrorBody} for it in (422, "4XX", "5XX")
}
"""Describes the errors of every route."""

_TYPES = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
    HTTPStatus.UNPROCESSABLE_ENTITY: "run_error",
}


class RequestError(Problem):
    """An error with the code, and where it concerns a field the field's name, of OpenAI's form."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        code: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.code = code
        self.param = param


def unsupported(param: str, detail: str) -> RequestError:
    return RequestError(HTTPStatus.BAD_REQUEST, detail, code="unsupported_value", param=param)


def too_long(detail: str) -> RequestError:
    return RequestError(HTTPStatus.BAD_REQUEST, detail, code="context_length_exceeded")


def response(error: Exception) -> JSONResponse:
    """The response to a request that has failed.

    Clients would repeat a request after 409, but a conflict of ids stays one.
    """
    problem = _problem(error)
    final = NO_RETRY if problem.status is HTTPStatus.CONFLICT else {}
    headers = {**final, **(problem.headers or {})}
    return JSONResponse(body(problem).model_dump(), problem.status.value, headers=headers)


def body(error: Exception) -> ErrorBody:
    """The error as the body of a response, and as the last chunk of a stream."""
    problem = _problem(error)
    kind = _TYPES.get(problem.status)
    if kind is None:
        kind = "server_error" if problem.status >= 500 else "invalid_request_error"
    code, param = None, None
    if isinstance(problem, RequestError):
        code, param = problem.code, problem.param
    message, param = storable(problem.detail), param and storable(param)
    detail = ErrorDetail(message=message, type=kind, param=param, code=code)
    return ErrorBody(error=detail)


def _problem(error: Exception) -> Problem:
    if not isinstance(error, RequestValidationError):
        return problem_of(error)
    first = error.errors()[0]
    param = ".".join(str(part) for part in first["loc"][1:])
    text = f"{param}: {first['msg']}" if param else str(first["msg"])
    return RequestError(HTTPStatus.BAD_REQUEST, text, code="invalid_value", param=param or None)
