"""The autonomous tick: an idle agent sums up what it has done since its last tick."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from services.agent.instance import Instance
from services.agent.intake.claim import OWN_ID, Claims
from shared.concurrency.fault_boundary import contained
from shared.contract.messages import Trigger, run_id
from shared.contract.prompts import finished_task
from shared.contract.rows import message_of, response_of
from shared.errors import BadMessage, DamagedRow, StoreError, StoreUnavailable
from shared.store.queries import history
from shared.store.queries.history import FinishedRun

log = structlog.get_logger()

PROMPT = "Sum up in one sentence what you have done, for your own record:"

SUMMED_CHARS = 500
"""The summary's prompt has this many characters of each task and each answer."""


@dataclass
class Tick:
    instance: Instance
    claims: Claims

    async def serve(self, every_s: float) -> None:
        """Check every `every_s`, until cancelled.

        Replicas derive the same id for a tick, so only one of them sums up.
        """
        while True:
            await asyncio.sleep(every_s)
            await contained(self._check, "tick failed")

    async def _check(self) -> None:
        agent = self.instance.agent
        finished = await self.instance.store.read(
            lambda connection: history.finished_work(connection, agent)
        )
        if not finished:
            return
        version = finished[-1].run_id
        tick_id = OWN_ID + version
        ticks = [
            run_id(agent, it) for it in (tick_id, f"{agent}@{version}")
        ]  # the earlier form of the id
        known = await self.instance.store.read(
            lambda connection: history.has_tick(connection, ticks)
        )
        if not known and (lines := [line for ended in finished if (line := _line(ended))]):
            await self._sum_up(Trigger(id=tick_id, content="\n".join([PROMPT, *lines])))

    async def _sum_up(self, trigger: Trigger) -> None:
        try:
            await self.claims.accept(trigger, "tick")
        except BadMessage as error:  # a replica of another version used the id for its own prompt
            log.info("summed up elsewhere", reason=str(error))
        except StoreUnavailable:
            raise
        except StoreError as error:
            log.warning("not summed up", reason=str(error))


def _line(ended: FinishedRun) -> str | None:
    """The summary of a run, in two lines; None if its row can't be read, which is logged."""
    try:
        asked = message_of(ended.message).content if ended.kind == "task" else "(woken)"
        answered = response_of(ended.response).content
    except DamagedRow as error:
        log.warning("damaged run not summed up", run=ended.run_id, reason=str(error))
        return None
    return finished_task(asked[:SUMMED_CHARS], answered[:SUMMED_CHARS])
