"""The autonomous tick: an agent that has come to rest sums up what it has done since."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from services.agent.instance import Instance
from services.agent.intake.claim import OWN_ID, Intake
from shared.concurrency.boundary import contained
from shared.contract.messages import Trigger, run_id
from shared.contract.rows import message_of, response_of
from shared.errors import BadMessage, DamagedRow, StoreError, StoreUnavailable
from shared.store.queries import history
from shared.store.queries.history import FinishedRun

log = structlog.get_logger()

PROMPT = "Sum up in one sentence what you have done, for your own record:"

SUMMED_CHARS = 500
"""Of each run; a summary needs the gist."""


@dataclass
class Tick:
    instance: Instance
    intake: Intake

    async def serve(self, every_s: float) -> None:
        """One look every `every_s`; replicas reckon the same id, so that one of them sums up."""
        while True:
            await asyncio.sleep(every_s)
            await contained(self._look, "tick failed")

    async def _look(self) -> None:
        agent = self.instance.agent
        rested = await self.instance.store.read(
            lambda connection: history.finished_work(connection, agent)
        )
        if not rested:
            return
        version = rested[-1].run_id
        tick_id = OWN_ID + version
        ticks = [run_id(agent, it) for it in (tick_id, f"{agent}@{version}")]  # as it was before
        known = await self.instance.store.read(
            lambda connection: history.has_tick(connection, ticks)
        )
        if not known and (lines := [line for ended in rested if (line := _line(ended))]):
            await self._sum_up(Trigger(id=tick_id, content="\n".join([PROMPT, *lines])))

    async def _sum_up(self, trigger: Trigger) -> None:
        try:
            await self.intake.accept(trigger, "tick")
        except BadMessage as error:  # a replica of another version was first, with other words
            log.info("summed up elsewhere", reason=str(error))
        except StoreUnavailable:
            raise
        except StoreError as error:
            log.warning("not summed up", reason=str(error))


def _line(ended: FinishedRun) -> str | None:
    """None: it can't be read, and is logged."""
    try:
        asked = message_of(ended.message).content if ended.kind == "task" else "(woken)"
        answered = response_of(ended.response).content
    except DamagedRow as error:
        log.warning("damaged run not summed up", run=ended.run_id, reason=str(error))
        return None
    return f"- asked: {asked[:SUMMED_CHARS]}\n  answered: {answered[:SUMMED_CHARS]}"
