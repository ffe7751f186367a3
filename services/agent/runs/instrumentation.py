"""Metrics and events about the model and tool calls of one run: counts and times, never texts.

There is one exception: if a tool raises, its trace is logged for the tool's author.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from services.agent.instance import Instance
from services.agent.llm.chat import Completion
from services.agent.loop.journal import StepKey
from services.agent.loop.wrappers import ModelWrapper, ToolsWrapper
from shared.errors import ToolError
from shared.store.runs.run import Run

log = structlog.get_logger()


@dataclass
class InstrumentedModel(ModelWrapper):
    instance: Instance
    run: Run

    async def around(self, call: Callable[[], Awaitable[Completion]]) -> Completion:
        began = time.monotonic()
        completion = await call()
        usage, metrics = completion.usage, self.instance.metrics
        metrics.model_calls.inc(usage.model_calls)
        metrics.tokens.labels("input").inc(usage.input_tokens)
        metrics.tokens.labels("output").inc(usage.output_tokens)
        self.instance.announce(
            "model.called",
            self.run,
            seconds=_seconds_since(began),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
        )
        return completion


@dataclass
class InstrumentedTools(ToolsWrapper):
    instance: Instance
    run: Run

    async def around(self, key: StepKey, name: str, call: Callable[[], Awaitable[str]]) -> str:
        began, outcome = time.monotonic(), "ok"
        try:
            return await call()
        except ToolError as error:
            outcome = "failed"
            if error.detail:
                step_id = key.step_id(self.run.run_id, self.run.nonce)
                trace = error.detail  # as `exception`, a readable log prints it in lines
                log.warning("a tool has raised", tool=name, step=step_id, exception=trace)
            raise
        finally:
            seconds = _seconds_since(began)
            self.instance.announce(
                "tool.called", self.run, tool=name, outcome=outcome, seconds=seconds
            )


def _seconds_since(began: float) -> float:
    return round(time.monotonic() - began, 3)
