from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import pytest

from services.gateway.openai.wire.endings import error_of
from services.gateway.openai.wire.errors import response, too_long, unsupported
from services.gateway.problems import Problem
from shared.contract.messages import Response, Status
from shared.errors import BadMessage, StoreUnavailable


def read(error: Exception) -> tuple[int, Any, str | None]:
    made = response(error)
    body = json.loads(bytes(made.body))
    return made.status_code, body["error"], made.headers.get("x-should-retry")


@pytest.mark.parametrize(
    ("error", "status", "kind", "code", "retry"),
    [
        (unsupported("n", "one"), 400, "invalid_request_error", "unsupported_value", None),
        (too_long("long"), 400, "invalid_request_error", "context_length_exceeded", None),
        (BadMessage("bad"), 400, "invalid_request_error", None, None),
        (Problem(HTTPStatus.UNAUTHORIZED, "who"), 401, "authentication_error", None, None),
        (Problem(HTTPStatus.FORBIDDEN, "no"), 403, "permission_error", None, None),
        (Problem(HTTPStatus.TOO_MANY_REQUESTS, "wait"), 429, "rate_limit_error", None, None),
        (Problem(HTTPStatus.CONFLICT, "other"), 409, "invalid_request_error", None, "false"),
        (StoreUnavailable("away"), 503, "server_error", None, None),
        (ValueError("secret"), 500, "server_error", None, None),
    ],
)
def test_every_error_has_the_form_that_clients_read(
    error: Exception, status: int, kind: str, code: str | None, retry: str | None
) -> None:
    got, body, should_retry = read(error)
    assert (got, body["type"], body["code"], should_retry) == (status, kind, code, retry)
    assert body["message"]
    assert "secret" not in body["message"]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (Status.FAILED, "run_failed"),
        (Status.TIMEOUT, "run_timeout"),
        (Status.CANCELLED, "run_cancelled"),
        (Status.REFUSED, "run_refused"),
    ],
)
def test_a_run_without_an_answer_is_an_error_that_no_client_repeats(
    status: Status, code: str
) -> None:
    ended = Response(task_id="t1", agent="alice", status=status, content="")
    got, body, should_retry = read(error_of(ended))
    assert (got, body["code"], body["type"], should_retry) == (422, code, "run_error", "false")
    assert body["message"] == f"the run ended: {status}"
