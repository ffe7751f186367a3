"""A model that is away for longer than one call's own retries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from services.agent.llm.client import ATTEMPTS
from services.agent.runs.postponement import MOST_FAILURES
from shared.broker.connection import connect
from shared.contract import topology
from shared.store import Store
from shared.store.queries.texts import run_texts
from shared.store.runs.run import load
from shared.store.schema import runs
from tests.support.brokers.rabbitmq import Rabbit
from tests.support.client import Client
from tests.support.model.endpoint import Endpoint, fault
from tests.support.processes.fixtures import Asked
from tests.support.processes.instances import instance
from tests.support.processes.living import begun, lived
from tests.support.processes.running import System

pytestmark = pytest.mark.long

AWAY = f"[[fail 503 {ATTEMPTS}]]"
"""For all the tries of one call; the next call succeeds."""
BOB = """
name: bob
tools: [{function: noting.py:note, repeatable: true}]
limits: {concurrency: 1}
"""
NOTING = '''
from pathlib import Path

def note(text: str) -> str:
    """Writes a line."""
    with (Path(__file__).parent / "noted").open("a") as file:
        file.write(text + chr(10))
    return "noted"
'''


@pytest.fixture
def noted(system: System, agents: Path) -> Path:
    """Bob does one thing at a time; what his tool wrote is in this file."""
    (agents / "bob.yaml").write_text(BOB)
    (agents / "tools").mkdir()
    (agents / "tools" / "noting.py").write_text(NOTING)
    system.env["HUTCH_AGENTS"] = str(agents)
    return agents / "tools" / "noted"


@pytest.mark.essential
@pytest.mark.usefixtures("noted")
def test_a_run_whose_model_is_away_leaves_its_slot_to_others_and_continues_later(
    system: System, pika: Client, asked: Asked
) -> None:
    [bob] = system.agents("bob")
    first = pika.send("bob", f"{AWAY}[[reply One.]]")
    bob.wait_for("run postponed")
    second = pika.send("bob", "[[reply Two.]]")
    replies = pika.replies(2)
    assert [reply.correlation_id for reply in replies] == [second, first]
    assert [reply.content for reply in replies] == ["Two.", "One."]
    assert len(asked()) == ATTEMPTS + 2


def test_any_replica_continues_and_no_finished_step_is_paid_or_done_again(
    system: System, pika: Client, asked: Asked, noted: Path
) -> None:
    [first] = system.agents("bob")
    pika.send("bob", f'[[call note {{"text": "once"}}]][[then]]{AWAY}[[reply Done.]]')
    first.wait_for("run postponed")
    first.kill()
    system.agents("bob")
    reply = pika.reply()
    assert (reply.status, reply.content) == ("ok", "Done.")
    assert len(asked()) == 1 + ATTEMPTS + 1
    assert noted.read_text() == "once\n"


async def test_after_too_many_failures_in_a_row_it_is_given_up(
    store: Store, rabbit: Rabbit
) -> None:
    with Endpoint().serving() as endpoint:
        endpoint.script = [fault(503, retry_after="100")]
        async with connect(rabbit.url, "test") as broker:
            await broker.declare(topology.system())
            own = replace(instance(store), publisher=broker.publisher)
            run = await begun(own)
            often = update(runs).where(runs.c.run_id == run.run_id).values(failures=MOST_FAILURES)
            await store.write("", lambda db: db.execute(often))
            run = await store.read(lambda db: load(db, run.run_id))
            assert (await lived(own, endpoint, run)).status == "failed"
            dead = await broker.depth("dead")
    assert dead is not None
    assert dead.messages == 1
    said = await store.read(lambda db: run_texts(db, run.run_id))
    assert "given up: the model's endpoint failed" in (said.response or "")
    assert "postponed 8 times in a row" in (said.detail or "")
