"""The OpenAPI document, without a gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from services.gateway.app import routes
from services.gateway.problems import MEDIA_TYPE

DOCUMENT: dict[str, Any] = routes().openapi()


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


OPERATIONS = dict(operations())
OWN = [name for name in OPERATIONS if " /v1/" not in name]


def test_each_operation_has_a_name_of_its_own_for_the_functions_of_generated_clients() -> None:
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(names) == len(set(names))
    assert all(name.isidentifier() for name in names)


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_body_has_an_example(name: str) -> None:
    body = OPERATIONS[name].get("requestBody")
    if body is None:
        return
    [content] = body["content"].values()
    reference = content["schema"]["$ref"].rpartition("/")[2]
    schema = DOCUMENT["components"]["schemas"][reference]
    required = (schema["properties"][field] for field in schema.get("required", ()))
    assert "examples" in schema or all("examples" in field for field in required)


@pytest.mark.parametrize("name", OWN)
def test_each_error_is_a_problem(name: str) -> None:
    responses = OPERATIONS[name]["responses"]
    errors = {status: it for status, it in responses.items() if status >= "400"}
    assert "403" in errors
    assert all(list(it["content"]) == [MEDIA_TYPE] for it in errors.values())
    assert "HTTPValidationError" not in DOCUMENT["components"]["schemas"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_parameter_can_be_null(name: str) -> None:
    parameters = OPERATIONS[name].get("parameters", ())
    assert not [it for it in parameters if {"type": "null"} in it["schema"].get("anyOf", ())]


def unlimited(schema: dict[str, Any], name: str) -> Iterator[str]:
    """The strings of a schema that have no limit."""
    if reference := schema.get("$ref", "").rpartition("/")[2]:
        schema = DOCUMENT["components"]["schemas"][reference]
    for kind in schema.get("anyOf", ()):
        yield from unlimited(kind, name)
    for field, its in schema.get("properties", {}).items():
        yield from unlimited(its, f"{name}.{field}")
    if "items" in schema:
        yield from unlimited(schema["items"], name)
    limits = {"minLength", "maxLength", "pattern", "enum", "const", "format"}
    if schema.get("type") == "string" and not limits & schema.keys():
        yield name


@pytest.mark.parametrize("name", [it for it in OWN if "requestBody" in OPERATIONS[it]])
def test_each_text_has_a_limit_so_that_half_of_a_surrogate_pair_is_refused(name: str) -> None:
    [content] = OPERATIONS[name]["requestBody"]["content"].values()
    assert list(unlimited(content["schema"], name)) == []
