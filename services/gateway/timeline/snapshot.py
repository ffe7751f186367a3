"""The parts of a run's snapshot that people are shown."""

from __future__ import annotations

from pydantic import BaseModel, ValidationError


class Definition(BaseModel):
    preamble: str = ""
    swarm: str | None = None


class Named(BaseModel):
    name: str


class Snapshot(BaseModel):
    definition: Definition = Definition()
    workers: tuple[Named, ...] = ()
    tools: tuple[Named, ...] = ()


def snapshot_of(body: str) -> Snapshot:
    """The snapshot in a stored definition; an empty one if it can't be read."""
    try:
        return Snapshot.model_validate_json(body)
    except ValidationError:
        return Snapshot()
