"""The model and the tools of one run, reported as they are called: counts and times, no texts.

But for a tool that raises: its trace is logged, for its author.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from services.agent.instance import Instance
from services.agent.llm.chat import ChatMessage, Completion, Model, ToolSpec
from services.agent.loop.journal import StepKey
from services.agent.runs.toolbox import Toolbox
from shared.definitions.functions import JsonObject
from shared.errors import ToolError
from shared.store.runs.run import Run

log = structlog.get_logger()


@dataclass
class ToldModel:
    model: Model
    instance: Instance
    run: Run

    async def complete(
        self,
        history: Sequence[ChatMessage],
        tools: Sequence[ToolSpec],
        most_tokens: int | None = None,
    ) -> Completion:
        began = time.monotonic()
        completion = await self.model.complete(history, tools, most_tokens)
        usage, metrics = completion.usage, self.instance.metrics
        metrics.model_calls.inc(usage.model_calls)
        metrics.tokens.labels("input").inc(usage.input_tokens)
        metrics.tokens.labels("output").inc(usage.output_tokens)
        self.instance.announce(
            "model.called",
            self.run,
            seconds=round(time.monotonic() - began, 3),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
        )
        return completion


@dataclass
class ToldTools:
    tools: Toolbox
    instance: Instance
    run: Run

    async def call(self, key: StepKey, name: str, arguments: JsonObject) -> str:
        step = key.in_run(self.run.run_id, self.run.nonce)
        began, outcome = time.monotonic(), "ok"
        try:
            return await self.tools.call(name, arguments, step)
        except ToolError as error:
            outcome = "failed"
            if error.detail:
                log.warning("a tool has raised", tool=name, step=step, trace=error.detail)
            raise
        finally:
            seconds = round(time.monotonic() - began, 3)
            self.instance.announce(
                "tool.called", self.run, tool=name, outcome=outcome, seconds=seconds
            )
