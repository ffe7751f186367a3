"""One process of an agent without its broker: a real store, a link that was never opened."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from aiormq.abc import AbstractChannel
from prometheus_client import CollectorRegistry

from services.agent.delivery.outbox import Outbox
from services.agent.delivery.refusals import Refusals
from services.agent.instance import Instance
from services.agent.llm.registry import ModelRegistry
from services.agent.loop.snapshot import Snapshot
from services.agent.memory.built_in import BuiltIn
from services.agent.memory.index import KnowledgeIndex
from services.agent.memory.specs import specs
from services.agent.runs.admission import Admission
from services.agent.runs.cancellation import CancelScopes
from services.agent.runs.ending import Endings
from services.agent.runs.execution import Execution, RunParts
from services.agent.runs.models.pause import Pause
from services.agent.runs.models.rate_limits import RateLimits
from services.agent.runs.models.run_models import RunModels
from services.agent.runs.open_runs import OpenRuns
from services.agent.runs.workers import Replies
from services.agent.tools.python_tool import PythonTool
from services.agent.tools.threads import ToolThreads
from services.agent.tools.toolbox import Toolbox
from shared.broker.consumer import Delivery
from shared.broker.link import Link
from shared.broker.publisher import Publisher
from shared.definitions.functions import Tool
from shared.definitions.model import Definition
from shared.prices import PriceList
from shared.settings.environment import Settings
from shared.settings.limits import LimitsByModel
from shared.store import Store
from shared.telemetry.metrics import Metrics

NOWHERE = "amqp://nobody@127.0.0.1:1/"


def instance(
    store: Store, definition: Definition | None = None, tools: Sequence[Tool] = ()
) -> Instance:
    """`alice.1`; what it publishes never arrives."""
    own = definition or Definition(name="alice")
    return Instance(
        id=f"{own.name}.1",
        snapshot=Snapshot.of(own.name, {own.name: own}, (*toolbox(tools).specs, *specs(own))),
        store=store,
        publisher=Publisher(*(Link(NOWHERE, f"test {number}") for number in range(3))),
        metrics=Metrics(CollectorRegistry()),
    )


def toolbox(tools: Sequence[Tool], threads: ToolThreads | None = None) -> Toolbox:
    shared = threads or ToolThreads()
    return Toolbox([PythonTool(tool, shared) for tool in tools])


def runs_of(
    own: Instance,
    admission: Admission,
    jobs: asyncio.TaskGroup,
    models: ModelRegistry | None = None,
    tools: Sequence[Tool] = (),
    prices: PriceList | None = None,
    folder: Path = Path(),
    limits: LimitsByModel | None = None,
) -> OpenRuns:
    """The runs of a process, where nothing is given without tools and without a model."""
    outbox = Outbox(own, jobs)
    refusals = Refusals(own, outbox)
    speaking = models or ModelRegistry(Settings(), own.metrics.model_failed)
    pause = Pause(own, admission)
    built_in = BuiltIn(own.store, KnowledgeIndex(own, folder), {})
    limited = RateLimits(limits or {}, own, jobs)
    run_models = RunModels(own, speaking, pause, prices or PriceList(), limited)
    parts = RunParts(own, Replies(own), toolbox(tools), built_in, run_models, pause)
    execution = Execution(own, parts, CancelScopes(), Endings(own, outbox, refusals))
    return OpenRuns(execution, admission, jobs)


def delivery(
    body: bytes,
    *,
    correlation_id: str | None = None,
    reply_to: str | None = None,
    user_id: str | None = None,
    received_as: str = "guest",
) -> Delivery:
    """A delivery as a stream yields it; there is no channel to ack it on."""
    return Delivery(
        body=body,
        message_id=None,
        correlation_id=correlation_id,
        reply_to=reply_to,
        content_type=None,
        headers={},
        redelivered=False,
        exchange="",
        routing_key="",
        queue="",
        user_id=user_id,
        received_as=received_as,
        app_id=None,
        timestamp=None,
        expiration=None,
        _channel=cast(AbstractChannel, None),
        _tag=1,
    )
