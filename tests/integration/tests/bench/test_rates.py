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
"""Of the reference: on a busy machine the ratios vary by a tenth or two."""


@pytest.mark.long
@pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)
def test_a_task_costs_no_more_of_the_cpu_beside_an_echo_than_it_did(
    server: Server, postgresql: Postgres
) -> None:
    rig = Rig(server, postgresql, lasts_s=1, least_rounds=2, most_rounds=3, rounds_s=10)
    found = rates.cpu_ratios(rates.measured(rig, [AT_ONCE], beside_dbos=False)[AT_ONCE])
    limits = {name: ratio * ALLOWED for name, ratio in document.reference().items()}
    too_low = {name: ratio for name, ratio in found.items() if ratio < limits[name]}
    assert not too_low, f"the echo's CPU as a part of the agents' fell below {limits}"
