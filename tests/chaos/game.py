"""One game: load and faults for a while, then heal, drain and check."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from shared.store.database.migrate import migrate
from tests.chaos.agents import MANAGER, REPLICAS, WORKER, build
from tests.chaos.calls import Calls
from tests.chaos.clients import Listener, Sender, declare, opened
from tests.chaos.ground import GROUNDS, Ground
from tests.chaos.ledger import Ledger
from tests.chaos.nemesis import Done, Fault, Kind, Nemesis
from tests.chaos.report import Costs, Left, Report
from tests.chaos.supervisor import Supervisor
from tests.support.invariants import Rest
from tests.support.network.proxy import Proxy, address, proxy
from tests.support.processes import running

SENDERS = 2
FROZEN_S = (4.0, 8.0)
"""Longer than the silence after which a process is taken for dead."""
STALLED_S = (4.0, 12.0)
PATIENCE_S = 150.0
"""Time without a new answer after which the rest is given up: a manager asks again after 60 s."""
SETTLE_S = 30.0
"""For messages that are still on their way after the last answer."""
POLL_S = 0.5

Say = Callable[[str], None]
Kinds = dict[str, Kind]


def play(store: str, seconds: float, seed: int, folder: Path, say: Say) -> Report:
    """`folder` is empty at first; what the processes have said is left there."""
    marks = folder / "marks"
    marks.mkdir()
    with (
        GROUNDS[store](folder) as ground,
        proxy(address(ground.broker_url)) as network,
        running.system(network.url(ground.broker_url), folder, build(folder)) as system,
    ):
        say(f"RabbitMQ {ground.broker}, {store}")
        system.env |= {"HUTCH_STORE": ground.store_url, "CHAOS_MARKS": str(marks)}
        asyncio.run(migrate(ground.store_url))
        system.model()
        calls = Calls(system.env["OPENAI_BASE_URL"])
        calls.start()
        supervisor, rest = Supervisor(system), Rest(system, ground.broker_url)
        supervisor.start(REPLICAS)
        ledger = Ledger()
        try:
            kinds = ground.kinds | process_kinds(supervisor) | network_kinds(network)
            done = storm(ground, kinds, ledger, seconds, seed, say)
            wrong = rest.settled(patience_s=SETTLE_S)
        finally:
            supervisor.end()
        wrong += rest.ended()
        calls.end()
        left = Left(wrong, dead_letters(ground.broker_url), [str(it) for it in supervisor.ended])
        marked = {mark.name: len(mark.read_text()) for mark in marks.iterdir()}
        costs = Costs(calls.by_step(), marked, supervisor.killed, supervisor.frozen)
        return Report(ledger, left, costs, done)


def storm(
    ground: Ground, kinds: Kinds, ledger: Ledger, seconds: float, seed: int, say: Say
) -> list[Done]:
    """Clients and nemesis for so many seconds; returns when all is answered, or given up."""
    with opened(ground.broker_url) as channel:
        declare(channel)
    listener = Listener(ground.broker_url, ledger)
    senders = [Sender(n, ground.broker_url, ledger, seed) for n in range(1, SENDERS + 1)]
    for client in (listener, *senders):
        client.start()
    nemesis = Nemesis(kinds, say)
    nemesis.rage(seed, seconds)
    say("healed; draining")
    for sender in senders:
        sender.end()
    drain(ledger)
    listener.end()
    return nemesis.done


def process_kinds(supervisor: Supervisor) -> Kinds:
    return {
        "kill -9 a manager": Kind(lambda it: supervisor.kill(MANAGER, it.which)),
        "kill -9 a worker": Kind(lambda it: supervisor.kill(WORKER, it.which)),
        "kill -9 all managers": Kind(lambda _: supervisor.kill_all(MANAGER)),
        "kill -9 all workers": Kind(lambda _: supervisor.kill_all(WORKER)),
        "freeze a manager": Kind(
            lambda it: supervisor.freeze(MANAGER, it.which, it.seconds), FROZEN_S
        ),
        "freeze a worker": Kind(
            lambda it: supervisor.freeze(WORKER, it.which, it.seconds), FROZEN_S
        ),
    }


def network_kinds(network: Proxy) -> Kinds:
    """Between the agents and the broker; the clients have another way."""

    def stall(fault: Fault) -> None:
        network.stall()
        time.sleep(fault.seconds)
        network.flow()

    return {
        "network stalled": Kind(stall, STALLED_S),
        "frame cut": Kind(lambda _: network.cut()),
    }


def drain(ledger: Ledger) -> None:
    still_open, since = len(ledger.open), time.monotonic()
    while still_open and time.monotonic() - since < PATIENCE_S:
        time.sleep(POLL_S)
        if len(ledger.open) < still_open:
            still_open, since = len(ledger.open), time.monotonic()


def dead_letters(url: str) -> list[str]:
    found: list[str] = []
    with opened(url) as channel:
        while True:
            method, properties, _ = channel.basic_get("dead", auto_ack=True)
            if method is None or properties is None:
                return found
            headers = properties.headers or {}
            found.append(str(headers.get("x-hutch-message-id") or properties.message_id))
