"""The description of the gateway's HTTP: `/api/openapi.json`, and `docs/openapi.json`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from services.gateway.problems import MEDIA_TYPE, ProblemDetails

ERRORS = {
    400: "A value of the request has no meaning here.",
    401: "A key is needed, or this one is unknown or revoked.",
    403: "The key does not allow this, or another site's page has caused the request.",
    404: "There is no such thing, or the key may not see it.",
    408: "The body did not arrive in time.",
    409: "The id belongs to something else, or the state of the thing does not allow this.",
    413: "The body is too large.",
    422: "A value of the request is not valid; `detail` names it.",
    429: "The key has too many requests or open streams; `Retry-After` says when to repeat.",
    503: "The broker or the store is unavailable; repeat it with the same id.",
}
"""Why a request is refused, by status. The OpenAI door describes its errors itself."""

REFERENCES = frozenset({"run", "tree"})
"""Parameters of a query that name a thing which must exist."""

Json = dict[str, Any]


def describe(app: FastAPI) -> None:
    """Complete the document that FastAPI makes of the routes."""
    made = app.openapi

    def openapi() -> Json:
        if app.openapi_schema is None:
            _complete(made())
        document: Json = made()
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation says


def _complete(document: Json) -> None:
    details = {"$ref": "#/components/schemas/ProblemDetails"}
    schemas = document["components"]["schemas"]
    schemas["ProblemDetails"] = ProblemDetails.model_json_schema()
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own form of a 422
        schemas.pop(name, None)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])
            for response in operation["responses"].values():
                _leave_streams_open(response)
            if not path.startswith("/v1/"):
                operation["responses"].pop("422", None)
                operation["responses"] |= {
                    str(status): {
                        "description": ERRORS[status],
                        "content": {MEDIA_TYPE: {"schema": details}},
                    }
                    for status in _errors(path, operation)
                }
            elif "422" in operation["responses"]:
                # FastAPI takes the words from Python, whose versions have different ones.
                operation["responses"]["422"]["description"] = ERRORS[422]


def _errors(path: str, operation: Json) -> Iterator[int]:
    has_body, parameters = "requestBody" in operation, operation.get("parameters", ())
    yield 403
    if has_body:
        yield from (408, 413)
    if has_body or parameters:
        yield from (400, 422)
    if has_body or "security" in operation:
        yield from (401, 503)
    if "security" in operation:
        yield 429
    if has_body or any(it["in"] == "path" or it["name"] in REFERENCES for it in parameters):
        yield from (404, 409)


def _without_null(schema: Json) -> Json:
    """A parameter that is left out is None in Python, but `null` can't be sent."""
    kinds = [it for it in schema.get("anyOf", ()) if it != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**kinds[0], **rest}


def _leave_streams_open(response: Json) -> None:
    """The schema of a stream would be that of each event, and says nothing as a string."""
    if stream := response.get("content", {}).get("text/event-stream"):
        stream.pop("schema", None)
