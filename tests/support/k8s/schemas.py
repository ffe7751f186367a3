"""Schemas of the operators' kinds, from their definitions, closed against unknown fields."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.repository import REPOSITORY

FOLDER = REPOSITORY.parent / "shared" / "crds"
"""A developer's own copy of the definitions; where there is none, those kinds are only named."""

Schema = dict[str, Any]


def definitions(folder: Path = FOLDER) -> dict[tuple[str, str], Schema]:
    """The definitions by `apiVersion` and `kind`."""
    return dict(_read(folder))


def _read(folder: Path) -> Iterator[tuple[tuple[str, str], Schema]]:
    for file in sorted(folder.glob("*.yaml")):
        for definition in yaml.safe_load_all(file.read_text("utf-8")):
            spec = definition["spec"]
            for version in spec["versions"]:
                schema = closed(version["schema"]["openAPIV3Schema"])
                schema["properties"]["metadata"] = {"type": "object"}
                key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                yield key, schema


def closed(schema: Schema) -> Schema:
    """The schema as Kubernetes reads it, without unknown fields."""
    found = dict(schema)
    if found.pop("x-kubernetes-int-or-string", False):
        return {"type": ["integer", "string"]}
    if "properties" in found:
        found["properties"] = {name: closed(it) for name, it in found["properties"].items()}
        if not found.get("x-kubernetes-preserve-unknown-fields"):
            found.setdefault("additionalProperties", False)
    if isinstance(found.get("items"), dict):
        found["items"] = closed(found["items"])
    if isinstance(found.get("additionalProperties"), dict):
        found["additionalProperties"] = closed(found["additionalProperties"])
    return found
