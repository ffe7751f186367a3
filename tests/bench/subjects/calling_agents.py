"""Many agents' model calls in one process; BENCH_STORE, BENCH_ENDPOINT, BENCH_PLAN are its input.

Each agent is an instance with a heartbeat and one slot, and makes one call after the other, as its
runs would: what postpones a run lets the agent wait for so long. There is no broker, and no run in
the store. At the end the process prints how many calls of each agent were answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from rich.console import Console

from services.agent.instance import Instance
from services.agent.llm.chat import Request, User
from services.agent.llm.client import OpenAIModel
from services.agent.runs.admission import Admission
from services.agent.runs.models.pause import Pause
from services.agent.runs.models.rate_limits import LimitedModel, RateLimits
from services.agent.runs.postponement import MOST_FAILURES, backoff_s
from services.agent.runs.store_journal import StoredJournal
from shared.contract.priority import Priority
from shared.definitions.model import Definition
from shared.errors import LimitReached, ModelUnavailable
from shared.settings.limits import ModelLimits
from shared.store import Store, open_store
from shared.store.processes import heartbeats, rate_limits, rate_usage
from shared.store.runs.run import Run
from tests.support.processes.instances import instance

REQUEST = Request([User(content="Go on.")])
POLL_S = 0.6
"""A postponed run is taken by the first poll after it is due."""


@dataclass(frozen=True)
class Plan:
    """`window_s` is the length of a minute."""

    agents: tuple[str, ...]
    window_s: float
    lasts_s: float
    limits: dict[str, int] | None
    """None: each process knows only its own refusals."""


class Agent:
    def __init__(self, store: Store, model: OpenAIModel, name: str, plan: Plan) -> None:
        self.own: Instance = instance(store, Definition(name=name))
        self.answered = self.given_up = 0
        self._model, self._plan, self._admission = model, plan, Admission(1)

    async def work(self, jobs: asyncio.TaskGroup, until: float) -> None:
        """One run after the other, each of a single call."""
        limits = self._plan.limits
        limited = RateLimits({"*": ModelLimits(**limits)} if limits else {}, self.own, jobs)
        while time.monotonic() < until:
            failures, run = 0, run_of(self.own, uuid4().hex)
            while time.monotonic() < until:
                slot = self._admission.try_take()
                assert slot
                model, limit = self._model, limited.of("tiny")
                calling = (
                    model
                    if limit is None
                    else LimitedModel(
                        model,
                        limit,
                        run,
                        Priority.INTERACTIVE,
                        slot,
                        Pause(self.own, self._admission),
                        StoredJournal(self.own.store, run, fence_check_s=1e9),
                    )
                )
                try:
                    await calling.complete(REQUEST)
                    self.answered += 1
                    break
                except LimitReached as reached:
                    wait_s = reached.wait_s
                except ModelUnavailable as error:
                    failures += 1
                    wait_s = backoff_s(failures, error.wait_s)
                finally:
                    slot.release()
                if failures > MOST_FAILURES:
                    self.given_up += 1
                    break
                await asyncio.sleep(wait_s + random.uniform(0, POLL_S))


def run_of(own: Instance, run_id: str) -> Run:
    """A run that no store knows."""
    return Run(
        run_id=run_id,
        agent=own.agent,
        task_id=run_id,
        kind="task",
        message="{}",
        definition="",
        notes=(),
        root_id=run_id,
        claimed_at=0.0,
        deadline_at=0.0,
        fence=1,
        attempts=0,
        failures=0,
        epoch=1,
    )


async def beat(store: Store, agents: list[Agent]) -> None:
    while True:
        for it in agents:
            record = partial(heartbeats.record, instance=it.own.id, agent=it.own.agent)
            await store.write("", record, within_s=0.01)
        await asyncio.sleep(1.0)


async def main() -> None:
    plan = Plan(**json.loads(os.environ["BENCH_PLAN"]))
    window_s = rate_usage.WINDOW_S * plan.window_s / 60
    for module in (rate_limits, rate_usage):
        vars(module)["WINDOW_S"] = window_s
    say = Console(soft_wrap=True, markup=False, highlight=False).print
    model = OpenAIModel("tiny", os.environ["BENCH_ENDPOINT"])
    await model.warm()
    async with open_store(os.environ["BENCH_STORE"]) as store:
        agents = [Agent(store, model, name, plan) for name in plan.agents]
        async with asyncio.TaskGroup() as jobs:
            beating = jobs.create_task(beat(store, agents))
            await asyncio.sleep(2.0)
            say("calling")
            until = time.monotonic() + plan.lasts_s
            await asyncio.gather(*(it.work(jobs, until) for it in agents))
            beating.cancel()
    await model.close()
    report = {it.own.agent: (it.answered, it.given_up) for it in agents}
    say(f"answered {json.dumps(report)}")


if __name__ == "__main__":
    asyncio.run(main())
