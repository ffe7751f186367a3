"""An agent's process as it is, but for its model: `python -m tests.bench.subjects.stubbed NAME`.

The model answers in process, after as many seconds as `BENCH_MODEL_S` says (0).
"""

from __future__ import annotations

import asyncio
import os
import sys

from services.agent import __main__ as agent
from services.agent.llm.chat import Completion, OnText, Request
from services.agent.llm.client import OpenAIModel
from services.agent.llm.registry import ModelRegistry
from shared.contract.messages import Usage
from shared.definitions.model import Definition

MODEL_S = float(os.environ.get("BENCH_MODEL_S", "0"))
SAID = Completion(
    content="Done.",
    finish_reason="stop",
    usage=Usage(model_calls=1, input_tokens=10, output_tokens=2),
    model="stub",
)


class Stub(OpenAIModel):
    async def warm(self) -> None:
        """There is no client to load."""

    async def complete(self, request: Request, on_text: OnText | None = None) -> Completion:
        if MODEL_S:
            await asyncio.sleep(MODEL_S)
        return SAID


class Stubs(ModelRegistry):
    def of(self, definition: Definition) -> OpenAIModel:
        return STUB


STUB = Stub("stub", "http://127.0.0.1:1")

if __name__ == "__main__":
    setattr(agent, "ModelRegistry", Stubs)  # noqa: B010 - the only seam: the module's own name for it
    sys.exit(agent.main())
