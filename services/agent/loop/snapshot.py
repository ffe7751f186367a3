"""The snapshot of an agent that a claim stores: later edits of the files don't affect the run."""

from __future__ import annotations

import hashlib
from functools import cached_property, lru_cache

from pydantic import TypeAdapter

from services.agent.llm.chat import ToolSpec
from services.agent.loop.tool_calls import WorkerSpec
from shared.contract.messages import Frozen
from shared.contract.rows import parsed
from shared.definitions.functions import JsonObject
from shared.definitions.model import Definition, Definitions


class Snapshot(Frozen):
    definition: Definition
    workers: tuple[WorkerSpec, ...] = ()
    tools: tuple[ToolSpec, ...] = ()

    @classmethod
    def of(cls, name: str, known: Definitions, tools: tuple[ToolSpec, ...]) -> Snapshot:
        definition = known[name]
        workers = tuple(
            WorkerSpec(
                name=worker.name,
                description=known[worker.name].description,
                output=_schema(known[worker.name]),
                approval=worker.approval,
            )
            for worker in definition.workers
        )
        return cls(definition=definition, workers=workers, tools=tools)

    @property
    def output(self) -> JsonObject | None:
        return _schema(self.definition)

    @cached_property  # needed at every claim
    def body(self) -> str:
        return self.model_dump_json(by_alias=True)

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.body.encode()).hexdigest()[:32]

    def call_digest(self, name: str, frozen: Snapshot) -> str:
        """A hash of what the approval of a call depends on: the definition, and the called tool or
        worker. One that is missing, as its server is away, counts as a run's `frozen` one.
        """
        spec = self._spec(name) or frozen._spec(name)
        parts = (it.model_dump_json(by_alias=True) for it in (self.definition, spec) if it)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]

    def _spec(self, name: str) -> ToolSpec | None:
        specs = (*self.tools, *(it.tool for it in self.workers))
        return next((it for it in specs if it.name == name), None)


def _schema(definition: Definition) -> JsonObject | None:
    """The schema of an agent's output, once it is loaded."""
    return definition.output if isinstance(definition.output, dict) else None


_SNAPSHOT = TypeAdapter(Snapshot)


@lru_cache(maxsize=8)  # few runs have an older definition
def restore_snapshot(body: str) -> Snapshot:
    """The snapshot in `Snapshot.body`; raises `DamagedRow` if it can't be read."""
    return parsed(_SNAPSHOT, body, "definition")
