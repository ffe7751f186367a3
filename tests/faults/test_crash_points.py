"""A process dies at a named point in the life of a run: one response, and one call more at most."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from shared.store import open_store
from shared.store.queries.approvals import ApprovalFilter, listed
from shared.store.queries.reports import loads
from tests.chaos.agents import MANAGER, MODEL_CALLS, WORKER, answer, content
from tests.support.client import Client
from tests.support.processes.crashing import POINTS
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import Child, System, until

pytestmark = pytest.mark.long

TASK = "task-1-1"
ONLY = {
    MANAGER: ("ask", "reply", "worker-step"),
    WORKER: ("tool-step",),
}
ON_OCCASION = ("take-over", "hand-over", "dead-letter", "check", "park", "decide", "call", "files")
"""Crash points that a run without a fault, checks, approval and MCP servers never reaches."""
CHECKS = """
guardrails:
  input: [stamp.py:checked]
  output: [{model: small, check: It is polite.}]
"""
CHECK = """

def checked(text: str) -> str:
    stamp("checked")
    return text + "[[then]][[reply Done. [[reply {\\"verdict\\": \\"pass\\"}]]]]"
"""
SLOW_S = 2.0
"""A model call's time, where a test has to act during it."""


def points(role: str) -> list[str]:
    """The crash points that a run of this role reaches."""
    others = {what for of, them in ONLY.items() if of != role for what in them}
    return [it for it in POINTS if not it.endswith((*others, *ON_OCCASION))]


def pair(system: System, point: str, role: str) -> Child:
    """The one that dies, consuming; the other role's process too. Their model takes one call at a
    time, so a lease that is not returned is noticed."""
    system.env["HUTCH_LIMITS"] = '{"*": {"concurrent_calls": 1}}'
    both = [
        system.start("tests.support.processes.crashing", point, "services.agent", role),
        system.start("services.agent", other(role)),
    ]
    for child in both:
        child.wait_for("consuming")
    return both[0]


def died(child: Child) -> None:
    assert child.ended() == -signal.SIGKILL, child.output


def other(role: str) -> str:
    return WORKER if role == MANAGER else MANAGER


def kept(system: System, pika: Client, asked: Asked, marks: Path) -> None:
    """The promises; waits until nothing is under way any more."""
    first = pika.reply()
    assert (first.status, first.content) == ("ok", answer(TASK))
    until(lambda: asyncio.run(at_rest(system)))
    while copy := pika.received():
        assert (copy.body, copy.message_id) == (first.body, first.message_id)
    assert len(asked()) <= MODEL_CALLS + 1
    assert len((marks / TASK).read_text()) <= 1 + 1


async def at_rest(system: System) -> bool:
    async with open_store(system.env["HUTCH_STORE"]) as store:
        return not await store.read(loads)


@pytest.mark.parametrize(
    ("role", "point"), [(role, point) for role in (MANAGER, WORKER) for point in points(role)]
)
def test_a_process_that_dies_there_costs_one_call_at_most(
    system: System, pika: Client, asked: Asked, marks: Path, role: str, point: str
) -> None:
    victim = pair(system, point, role)
    pika.send(MANAGER, {"id": TASK, "content": content(TASK)})
    died(victim)
    system.agents(role)
    kept(system, pika, asked, marks)


@pytest.mark.parametrize(
    ("point", "repeated"),
    [
        ("before-task-check", "checked"),
        ("after-task-check", ""),
        ("before-model-step:2", "model"),
        ("after-model-step:2", ""),
        ("before-answer-check", "model"),
        ("after-answer-check", ""),
    ],
)
def test_a_process_that_dies_at_a_check_repeats_and_pays_no_finished_one(
    system: System, pika: Client, asked: Asked, marks: Path, point: str, repeated: str
) -> None:
    agents = Path(system.env["HUTCH_AGENTS"])
    for file, more in ((agents / f"{WORKER}.yaml", CHECKS), (agents / "tools/stamp.py", CHECK)):
        file.write_text(file.read_text("utf-8") + more, "utf-8")
    victim = system.start("tests.support.processes.crashing", point, "services.agent", WORKER)
    victim.wait_for("consuming")
    pika.send(WORKER, {"id": TASK, "content": f'[[call stamp {{"step": "{TASK}"}}]]'})
    died(victim)
    system.agents(WORKER)
    reply = pika.reply()
    assert reply.status == "ok", reply
    assert reply.content.startswith("Done.")
    until(lambda: asyncio.run(at_rest(system)))
    assert len(asked()) == 3 + (repeated == "model"), "two turns, and the check of the answer"
    assert len((marks / "checked").read_text()) == 1 + (repeated == "checked")
    assert len((marks / TASK).read_text()) == 1


@pytest.mark.parametrize("point", ["before-take-over", "after-take-over"])
@pytest.mark.parametrize("role", [MANAGER, WORKER])
def test_runs_of_a_process_that_dies_during_a_takeover_are_taken_over(
    system: System, pika: Client, asked: Asked, marks: Path, role: str, point: str
) -> None:
    [first], _ = system.agents(role), system.agents(other(role))
    pika.send(MANAGER, {"id": TASK, "content": content(TASK, SLOW_S)})
    until(lambda: len(asked()) == 2)  # the worker's first model call is under way
    first.kill()
    died(system.start("tests.support.processes.crashing", point, "services.agent", role))
    system.agents(role)
    kept(system, pika, asked, marks)


@pytest.mark.parametrize("point", ["before-hand-over", "after-hand-over"])
@pytest.mark.parametrize("role", [MANAGER, WORKER])
def test_a_process_that_dies_while_it_hands_over_loses_no_run(
    system: System, pika: Client, asked: Asked, marks: Path, role: str, point: str
) -> None:
    system.env["HUTCH_DRAIN_S"] = "0"
    victim = pair(system, point, role)
    pika.send(MANAGER, {"id": TASK, "content": content(TASK, SLOW_S)})
    until(lambda: len(asked()) == 2)
    victim.process.terminate()
    died(victim)
    system.agents(role)
    kept(system, pika, asked, marks)


@pytest.fixture
def guarded(system: System, marks: Path) -> None:
    """The worker's tool needs approval."""
    file = Path(system.env["HUTCH_AGENTS"]) / f"{WORKER}.yaml"
    given = "repeatable: true"
    file.write_text(file.read_text("utf-8").replace(given, f"{given}, approval: always"), "utf-8")


def request(system: System) -> str:
    """The id of the only request that waits for a decision."""
    until(lambda: len(pending(system)) == 1)
    return pending(system)[0]


def pending(system: System) -> list[str]:
    async def read() -> list[str]:
        async with open_store(system.env["HUTCH_STORE"]) as store:
            found = await store.read(lambda db: listed(db, ApprovalFilter(), 10))
            return [it.approval_id for it in found]

    return asyncio.run(read())


def parked(system: System) -> bool:
    """Whether the manager and the worker both wait for the decision."""

    async def read() -> int:
        async with open_store(system.env["HUTCH_STORE"]) as store:
            return sum(it.parked for it in (await store.read(loads)).values())

    return asyncio.run(read()) == 2


@pytest.mark.parametrize(
    ("role", "point"),
    [
        (role, f"{side}-{what}")
        for role in (MANAGER, WORKER)
        for side in ("before", "after")
        for what in ("park", "take-over")
    ],
)
@pytest.mark.usefixtures("guarded")
def test_a_process_that_dies_around_an_approval_costs_one_call_at_most(
    system: System, pika: Client, asked: Asked, marks: Path, role: str, point: str
) -> None:
    victim = pair(system, point, role)
    pika.send(MANAGER, {"id": TASK, "content": content(TASK)})
    if point.endswith("park"):
        died(victim)
        system.agents(role)
    id = request(system)
    until(lambda: parked(system))
    assert not (marks / TASK).exists()
    assert system.hutch("approve", id).returncode == 0
    if point.endswith("take-over"):
        died(victim)
        system.agents(role)
    kept(system, pika, asked, marks)


@pytest.mark.parametrize("point", ["before-decide", "after-decide"])
@pytest.mark.usefixtures("guarded")
def test_a_decision_of_a_command_that_dies_is_written_or_not(
    system: System, pika: Client, asked: Asked, marks: Path, point: str
) -> None:
    system.agents(MANAGER, WORKER)
    pika.send(MANAGER, {"id": TASK, "content": content(TASK)})
    id = request(system)
    died(system.start("tests.support.processes.crashing", point, "services.cli", "approve", id))
    if point == "before-decide":
        assert pending(system) == [id]
        assert system.hutch("approve", id).returncode == 0
    kept(system, pika, asked, marks)


@pytest.mark.parametrize("point", ["before-dead-letter", "after-dead-letter"])
def test_a_bad_message_is_kept_and_answered_though_its_process_dies(
    system: System, pika: Client, marks: Path, point: str
) -> None:
    victim = pair(system, point, WORKER)
    pika.send(WORKER, b'{"content": ', message_id="bad")
    died(victim)
    system.agents(WORKER)
    assert pika.reply().status == "refused"
    headers, body = pika.taken("dead")
    assert (headers["x-hutch-message-id"], body) == ("bad", b'{"content": ')
