"""A small bench: what a task costs an agent, beside what a question costs a bare echo."""

from __future__ import annotations

import pytest

from tests.bench import document
from tests.bench.parts import rates
from tests.bench.rig import Rig
from tests.support.brokers.rabbitmq import Server
from tests.support.stores.postgresql import Postgres

AT_ONCE = 64
ALLOWED = 2 / 3
"""Of the reference."""
ATTEMPTS = 3
"""The best counts: what else the machine does makes agents slower, never faster."""


@pytest.mark.long
@pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)
def test_a_task_costs_hardly_more_beside_an_echo_than_in_the_last_whole_run(
    server: Server, postgresql: Postgres
) -> None:
    rig = Rig(server, postgresql, lasts_s=0.7, least_rounds=2, most_rounds=3, rounds_s=5)
    limits = {name: ratio * ALLOWED for name, ratio in document.reference().items()}
    best = dict.fromkeys(limits, 0.0)
    for _ in range(ATTEMPTS):
        found = rates.cpu_ratios(rates.measured(rig, [AT_ONCE], beside_dbos=False)[AT_ONCE])
        best = {name: max(best[name], found[name]) for name in limits}
        if all(best[name] >= limits[name] for name in limits):
            return
    pytest.fail(f"the echo's CPU per task, as a part of the agents': {best}, below {limits}")
