"""The JSON schema of an agent's file, with which editors complete and check it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic_core.core_schema import WithDefaultSchema

from shared.definitions.durations import duration_text
from shared.definitions.functions import JsonObject
from shared.definitions.model import Definition
from shared.definitions.tools.signature import Untitled

DRAFT = "http://json-schema.org/draft-07/schema#"
"""Editors' extensions for YAML read no later draft in full."""


def file_schema() -> JsonObject:
    """The schema. It refuses unknown keys; `hutch check` also finds what no schema can express."""
    return {"$schema": DRAFT, **Definition.model_json_schema(schema_generator=FileSchema)}


class FileSchema(Untitled):
    """Writes defaults as a person does: editors insert them. `null` is none."""

    def default_schema(self, schema: WithDefaultSchema) -> dict[str, Any]:
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def encode_default(self, dft: Any) -> Any:
        return duration_text(dft) if isinstance(dft, timedelta) else super().encode_default(dft)
