"""Errors in the form of JSON-RPC."""

from __future__ import annotations

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS
from pydantic import ValidationError

from services.gateway.problems import problem_of


def error_of(error: Exception) -> Exception:
    """The error that a request's handler raises in place of one of ours."""
    if isinstance(error, MCPError | ValidationError):  # the SDK knows them
        return error
    problem = problem_of(error)
    code = INTERNAL_ERROR if problem.status >= 500 else INVALID_PARAMS
    return MCPError(code, problem.detail, {"status": int(problem.status)})


def draining(task_id: str) -> MCPError:
    return MCPError(INTERNAL_ERROR, f"this gateway ends, and the task '{task_id}' goes on")
