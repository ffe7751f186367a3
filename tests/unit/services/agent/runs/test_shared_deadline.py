from __future__ import annotations

import asyncio

import pytest

from services.agent.loop.journal import StepKey
from services.agent.runs.shared_deadline import SAME_S, SharedDeadline
from shared.contract.messages import Budget, Response, Status
from tests.support.model.doubles import ScriptedWorkers


async def asked(status: Status, left_s: float) -> Response:
    workers = SharedDeadline(ScriptedWorkers({"bob": status}), lambda: left_s)
    async with asyncio.timeout(0.05):
        return await workers.ask(StepKey(1, 1), "bob", "write", None, Budget())


async def test_a_worker_that_ends_at_the_runs_own_deadline_is_no_answer() -> None:
    with pytest.raises(TimeoutError):
        await asked(Status.TIMEOUT, SAME_S / 2)


@pytest.mark.parametrize(
    ("status", "left_s"), [(Status.TIMEOUT, 2 * SAME_S), (Status.OK, 0.0), (Status.FAILED, 0.0)]
)
async def test_any_other_answer_is_one(status: Status, left_s: float) -> None:
    assert (await asked(status, left_s)).status is status
