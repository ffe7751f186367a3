"""One game: attack for a while, then be quiet, drain and check."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

from shared.store.database.migrate import migrate
from tests.chaos.ground import GROUNDS
from tests.chaos.supervisor import Supervisor
from tests.fuzz import ledger as ledgers
from tests.fuzz import logs
from tests.fuzz.attack import team
from tests.fuzz.attack.clients import Attacker, Receiver
from tests.fuzz.attack.endpoint import endpoint
from tests.fuzz.attack.stranger import Stranger
from tests.fuzz.attack.team import REPLICAS
from tests.fuzz.draws.commands import Commands
from tests.fuzz.ledger import Ledger
from tests.fuzz.report import Found, Report
from tests.support import client
from tests.support.invariants import Rest, living
from tests.support.processes import running
from tests.support.processes.running import System

ATTACKERS = 2
STARTED_S = 60.0
PATIENCE_S = 60.0
"""Time without a new answer after which the rest is given up: a run takes 20 s at most, and a
manager asks its worker again after 60."""
SETTLE_S = 90.0
HONEST_S = 20.0
"""For an honest task in an idle system; it takes well under a second."""
POLL_S = 0.5

Say = Callable[[str], None]


def play(store: str, seconds: float, seed: int, folder: Path, say: Say) -> Report:
    """`folder` is empty at first; logs and the journal are left there."""
    with (
        GROUNDS[store](folder) as ground,
        endpoint(seed) as model,
        running.system(ground.broker_url, folder, team.build(folder)) as system,
        closing(ledgers.opened(folder)) as journal,
    ):
        say(f"RabbitMQ {ground.broker}, {store}")
        system.env |= {"HUTCH_STORE": ground.store_url, "OPENAI_BASE_URL": model.base_url}
        system.env["HUTCH_DEBUG"] = "1"  # a process that dies shows where
        asyncio.run(migrate(ground.store_url))
        ledger, supervisor = Ledger(journal), Supervisor(system)
        supervisor.start(REPLICAS)
        rest = Rest(system, ground.broker_url)
        try:
            with attacked(system, ground.broker_url, ledger, seed, seconds) as commands:
                say("quiet; draining")
                drain(ledger)
                wrong = rest.settled(patience_s=SETTLE_S)
                say("asking each agent for something honest")
                silent = dict(silence(ground.broker_url))
                wrong = wrong or rest.settled(patience_s=SETTLE_S)  # the answers are broadcast
        finally:
            supervisor.end()
        wrong += rest.ended()
        found = Found(
            supervisor.ended,
            wrong,
            silent,
            logs.faults(sorted(folder.glob("*-services.agent-*.log"))),
            commands.faults,
            commands.given,
            model.asked,
        )
        return Report(ledger, found)


@contextmanager
def attacked(
    system: System, url: str, ledger: Ledger, seed: int, seconds: float
) -> Iterator[Commands]:
    """Attacks for so many seconds; in the block no attack runs, but answers are still received."""
    receiver = Receiver(url, ledger)
    receiver.start()
    assert receiver.listening.wait(STARTED_S), "the listener did not start"
    numbers = count()
    attackers = [
        Attacker(url, ledger, seed, numbers, receiver, lambda agent: instances(system, agent))
        for _ in range(ATTACKERS)
    ]
    commands, stranger = Commands(system, ledger, seed), Stranger(url, seed)
    for job in (*attackers, commands, stranger):
        job.start()
    time.sleep(seconds)
    for attacker in attackers:
        attacker.quiet.set()
    commands.end()
    commands.give("unpause", "all")
    try:
        yield commands
    finally:
        clients = (*attackers, receiver, stranger)
        died = [it.name for it in clients if not it.is_alive()]
        for client_ in clients:
            client_.end()
        assert not died, f"these clients have ended by a fault of their own: {died}"


def instances(system: System, agent: str) -> list[str]:
    return [it.instance for it in living(system.children) if it.name == agent]


def drain(ledger: Ledger) -> None:
    open_, since = len(ledger.unanswered), time.monotonic()
    while open_ and time.monotonic() - since < PATIENCE_S:
        time.sleep(POLL_S)
        if len(ledger.unanswered) < open_:
            open_, since = len(ledger.unanswered), time.monotonic()


def silence(url: str) -> Iterator[tuple[str, str]]:
    """The agents that do not answer an honest task at once, and the reasons."""
    for agent in REPLICAS:
        with client.client(url) as honest:
            honest.send(agent, f"honest f0.{agent}")
            try:
                reply = honest.reply(HONEST_S)
            except AssertionError:
                yield agent, f"nothing within {HONEST_S:.0f} s"
                continue
        if (reply.status, reply.content) != ("ok", f"honest f0.{agent} is done"):
            yield agent, f"{reply.status}: {reply.content[:100]}"
