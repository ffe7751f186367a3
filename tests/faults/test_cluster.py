"""One of three broker nodes is lost under load: the leader of all queues, with all connections."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, pairwise

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from shared.contract.topology import TASKS
from tests.chaos.calls import TASK, Calls
from tests.chaos.clients import REPLIES, Client, Listener, declare, opened
from tests.chaos.ledger import Ledger
from tests.support.brokers.cluster import USER, Cluster, cluster
from tests.support.machine import need
from tests.support.processes.running import until
from tests.support.report import summary

pytestmark = pytest.mark.long

HOME = "rabbitmq-3"
"""The clients' node, which stays: the gaps are the agents'."""
EVERY_S = 0.25
CALLS = 3
"""Model calls of a task: two of the manager's, one of its worker's."""
STEADY, AWAY = 20, 40
"""Answers that are waited for, before a node is lost and while it is away."""
PATIENCE_S = 150.0
"""For those, and for a node to be back, on a machine that does much else."""
KILLED_S, FROZEN_S = 20.0, 60.0
"""The most without an answer. A frozen node is noticed after three heartbeats, 30 s."""
_runs = count(1)


def content(task: str) -> str:
    latency = "[[latency 0.15]]"
    prompt = f"{task}: {latency}[[reply {task} is written]]"
    asked = f'{latency}[[call bob {{"prompt": "{prompt}"}}]]'
    return f"{task}: {asked}[[then]]{latency}[[reply {task} is done]]"


class Sender(Client):
    """A task to Alice every quarter of a second; one that is not confirmed is sent again."""

    def __init__(self, url: str, ledger: Ledger) -> None:
        super().__init__("sender", url)
        self.ledger = ledger
        run = next(_runs)
        self._tasks = (f"task-{run}-{number}" for number in count(1))
        self._task = next(self._tasks)

    def use(self, channel: BlockingChannel) -> None:
        channel.confirm_delivery()
        while not self.ending.is_set():
            task = self._task
            properties = pika.BasicProperties(
                message_id=task, correlation_id=task, reply_to=REPLIES, delivery_mode=2
            )
            body = json.dumps({"id": task, "content": content(task)}).encode()
            channel.basic_publish(TASKS, "alice", body, properties, mandatory=True)
            self.ledger.confirmed.add(task)
            self._task = next(self._tasks)
            channel.connection.sleep(EVERY_S)


@dataclass
class Load:
    calls: Calls
    ledger: Ledger = field(default_factory=Ledger)

    def answered(self, more: int) -> None:
        wanted = len(self.ledger.received) + more
        until(lambda: len(self.ledger.received) >= wanted, PATIENCE_S)

    def gap_s(self, since: float) -> float:
        """The longest time in which no answer came."""
        received = [it.at for them in self.ledger.responses().values() for it in them]
        return max(
            b - a for a, b in pairwise([since, *sorted(at for at in received if at > since)])
        )

    def promises(self) -> str:
        """Checks them, once all is over; says what there was."""
        answers = self.ledger.responses()
        for task in self.ledger.confirmed:
            assert {it.content for it in answers[task]} == {f"{task} is done"}
            assert len({it.body for it in answers[task]}) == 1
        calls = self.calls.by_step()
        asked = [step for step in calls if (of := TASK.search(step)) and of[0] in answers]
        assert len(asked) == CALLS * len(answers)
        assert {step: calls[step] for step in asked if calls[step] > 1} == {}, "paid twice"
        copies = sum(map(len, answers.values())) - len(answers)
        return f"{len(answers)} tasks, lost 0, model calls repeated 0, copies of answers {copies}"


@pytest.fixture(scope="module")
def three() -> Iterator[Cluster]:
    need("docker")
    with cluster() as running:
        yield running


@contextmanager
def loaded(three: Cluster) -> Iterator[Load]:
    """Steady load; after the block all that was sent is waited for."""
    url = f"amqp://{USER}@{three.address(HOME)}/"
    load = Load(Calls(f"http://{three.address('scripted')}:8080/v1"))
    with opened(url) as channel:
        declare(channel)
    sender, listener = Sender(url, load.ledger), Listener(url, load.ledger)
    for job in (load.calls, listener, sender):
        job.start()
    try:
        load.answered(STEADY)
        yield load
        sender.end()
        until(lambda: not load.ledger.open, PATIENCE_S)
    finally:
        for job in (sender, listener, load.calls):
            job.end()


def rejoined(three: Cluster, node: str) -> None:
    until(lambda: three.whole(node), PATIENCE_S)


def test_nodes_that_are_killed_one_after_the_other_cost_no_answer_and_no_call(
    three: Cluster, request: pytest.FixtureRequest
) -> None:
    gaps: list[float] = []
    with loaded(three) as load:
        for victim in ("rabbitmq", "rabbitmq-2"):
            three.gather(victim)
            load.answered(STEADY)
            killed_at = time.monotonic()
            three.container(victim).kill()
            load.answered(AWAY)
            gaps.append(load.gap_s(killed_at))
            three.container(victim).start()
            rejoined(three, victim)
            load.answered(STEADY)
    listed = ", ".join(f"{gap:.1f}" for gap in gaps)
    summary(request.config)["nodes killed"] = f"{load.promises()}; without an answer {listed} s"
    assert max(gaps) < KILLED_S


def test_a_frozen_node_is_given_up_and_costs_no_answer_and_no_call(
    three: Cluster, request: pytest.FixtureRequest
) -> None:
    with loaded(three) as load:
        three.gather("rabbitmq")
        load.answered(STEADY)
        frozen_at = time.monotonic()
        with three.frozen("rabbitmq"):
            load.answered(AWAY)
        gap_s = load.gap_s(frozen_at)
        load.answered(STEADY)  # while it comes back, which may take minutes
    summary(request.config)["node frozen"] = f"{load.promises()}; without an answer {gap_s:.1f} s"
    assert gap_s < FROZEN_S
