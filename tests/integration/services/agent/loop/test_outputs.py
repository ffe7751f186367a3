"""A manager and a worker whose answers have schemas, each in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.client import Client
from tests.support.processes.agents import calling, define
from tests.support.processes.fixtures import Asked, results_in
from tests.support.processes.running import System

SCHEMA = {
    "type": "object",
    "properties": {"total": {"type": "number"}, "note": {"type": "string"}},
    "required": ["total"],
}
MODEL = """
from pydantic import BaseModel

class Report(BaseModel):
    title: str
    totals: list[float]
"""
REPORT = {"title": "May", "totals": [3.5]}
WORKER_SAYS = '[[reply Here: {"total": 3.5, "note": null}]]'


def test_the_data_of_a_worker_is_its_managers_result_and_the_managers_own_is_in_its_response(
    system: System, pika: Client, asked: Asked, agents: Path
) -> None:
    (agents / "tools").mkdir()
    (agents / "tools" / "reports.py").write_text(MODEL, "utf-8")
    (agents / "total.json").write_text(json.dumps(SCHEMA), "utf-8")
    define(
        agents,
        system,
        boss="workers: [clerk]\noutput: reports.py:Report",
        clerk="output: total.json",
    )
    system.agents("clerk", "boss")
    last = f"[[reply ```json\n{json.dumps(REPORT)}\n```]]"
    reply = pika.ask("boss", f"{calling('clerk', WORKER_SAYS)}[[then]]{last}")
    assert (reply.status, reply.body["data"]) == ("ok", REPORT)
    assert json.loads(reply.content) == REPORT
    [result] = results_in(asked()[-1])
    assert json.loads(result) == {"total": 3.5}


def test_an_answer_that_never_fits_is_a_failure_after_three_calls(
    system: System, pika: Client, asked: Asked, agents: Path
) -> None:
    define(agents, system, clerk=f"output: {json.dumps(SCHEMA)}")
    system.agents("clerk")
    reply = pika.ask("clerk", "What is the total?")
    assert (reply.status, len(asked())) == ("failed", 3)
    assert reply.content.startswith("the answer does not fit its schema: ")
    assert "data" not in reply.body
