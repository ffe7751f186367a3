"""The gateway answers as its OpenAPI document says: `schemathesis` sends what that allows, and what
it does not."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.gateway import gateway
from tests.support.machine import schemathesis
from tests.support.processes.agents import define
from tests.support.processes.running import System
from tests.support.repository import REPOSITORY

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)

CONFIG = REPOSITORY / "tests" / "support" / "schemathesis.toml"
SEED = "1"
EXAMPLES = "3"
"""For each operation, besides the examples and the limits of each value. 100 find no more."""
LASTS_S = 900
LEAST_CASES = 500


@pytest.mark.long
@pytest.mark.needs("schemathesis")
def test_no_request_gets_an_answer_that_the_document_does_not_have(
    system: System, agents: Path
) -> None:
    define(agents, system, alice="workers: [bob]", bob="swarm: office", carol="")
    system.agents("bob", "alice")
    key = system.hutch("keys", "add", "tester", "--scope", "operate").stdout.strip()
    _, address = gateway(system)
    command = [schemathesis() or "", "--config-file", str(CONFIG), "--no-color", "run"]
    limits = ["--seed", SEED, "--max-examples", EXAMPLES]
    header = ["--header", f"Authorization: Bearer {key}"]
    done = subprocess.run(
        [*command, f"{address}/api/openapi.json", *limits, *header],
        capture_output=True,
        text=True,
        timeout=LASTS_S,
        cwd=system.logs,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    cases = re.search(r"(\d+) generated", done.stdout)
    assert cases, done.stdout
    assert int(cases[1]) > LEAST_CASES, "it has tested hardly anything"
