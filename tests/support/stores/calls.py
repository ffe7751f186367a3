"""The ids of open calls, which a forger would have to know: they are only in the store."""

from __future__ import annotations

import asyncio

from sqlalchemy import select

from services.agent.loop.journal import StepKey
from shared.contract.messages import run_id
from shared.store import open_store
from shared.store.schema import runs


def first_call(store_url: str, agent: str, task: str) -> str:
    """The id of the first call that this agent's run of a task has made."""
    run = run_id(agent, task)
    return StepKey(1, 1).step_id(run, asyncio.run(_nonce(store_url, run)))


async def _nonce(store_url: str, run: str) -> str:
    query = select(runs.c.nonce).where(runs.c.run_id == run)
    async with open_store(store_url) as store:
        return str(await store.read(lambda connection: connection.execute(query).scalar_one()))
