"""What parked runs cost, and how one goes on: `python -m tests.bench.parked [RUNS]`, else 10,000.

One agent parks so many runs, on RabbitMQ in a container and SQLite. Then a call nested in a worker
is parked, everything is killed and started again, and that call is approved: the same run answers.
Prints the table of docs/semantics.md. Nothing else should run beside it.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from rich.console import Console

from tests.bench import costs
from tests.bench.costs import a_second
from tests.bench.subjects.agents import new_store
from tests.support.brokers.rabbitmq import container, vhost
from tests.support.client import client
from tests.support.processes import running
from tests.support.processes.agents import calling, define
from tests.support.processes.fixtures import forget, requests
from tests.support.processes.running import Child, System, until

RUNS = 10_000
IDLE_S = 20.0
PATIENCE_S = 3600.0
CALL = '[[call pay {"order": 2, "amount": 150}]][[then]][[reply paid]]'
TOOL = '''
import os


def pay(order: int, amount: float) -> str:
    """Pay an order."""
    with open(os.environ["PAID"], "a") as paid:
        paid.write("x")
    return "paid"
'''
say = Console(highlight=False, soft_wrap=True).print


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    with ExitStack() as stack:
        server = stack.enter_context(container())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rabbit = stack.enter_context(vhost(server))
        agents = folder / "agents"
        (agents / "tools").mkdir(parents=True)
        (agents / "tools" / "pay.py").write_text(TOOL, "utf-8")
        system = stack.enter_context(running.system(rabbit.url, folder, agents))
        clerk = "tools: [{function: 'pay.py:pay', approval: {when: amount > 100}}]"
        define(agents, system, clerk=clerk, boss="workers: [clerk]")
        system.env["HUTCH_STORE"] = new_store(system, "parked")
        paid = folder / "paid"
        paid.touch()
        system.env["PAID"] = str(paid)
        system.model()
        say("| what | figure |\n|---|---|")
        for name, figure in (*parked(system, rabbit.url, runs), *resumed(system, rabbit.url)):
            say(f"| {name} | {figure} |")
        assert len(paid.read_text()) == 1


def parked(system: System, url: str, runs: int) -> Sequence[tuple[str, str]]:
    [clerk] = system.agents("clerk")
    with client(url) as pika:
        first = pika.send("clerk", "[[reply warm]]")
        assert pika.reply().correlation_id == first
        before, idle_before = of(clerk), idle(clerk)
        began = time.monotonic()
        for number in range(runs):
            pika.send("clerk", {"id": f"bill-{number}", "content": CALL})
        until(lambda: rows(system)["parked"] == runs, PATIENCE_S)
        took_s = time.monotonic() - began
        then, idle_then = of(clerk), idle(clerk)
    found, size_mb = rows(system), Path(file(system)).stat().st_size / 1e6
    clerk.end()
    return (
        (f"{runs:,} runs parked in", f"{took_s:.0f} s"),
        ("memory of their process before, after (RSS)", f"{before:.0f} MB, {then:.0f} MB"),
        ("its CPU while idle before, after", f"{idle_before:.0f}, {idle_then:.0f} ms a second"),
        (
            "rows: parked runs, requests, steps",
            f"{found['parked']:,}, {found['approvals']:,}, {found['steps']:,}",
        ),
        ("size of the store", f"{size_mb:.0f} MB"),
    )


def resumed(system: System, url: str) -> Sequence[tuple[str, str]]:
    processes = system.agents("boss", "clerk")
    forget(system)  # its log holds a limited number
    with client(url) as pika:
        pika.send("boss", {"id": "nested", "content": calling("clerk", CALL)})
        until(lambda: nested(system) == ["parked", "parked"], PATIENCE_S)
        for child in processes:
            child.kill()
        began = time.monotonic()
        system.agents("boss", "clerk")
        started_s = time.monotonic() - began
        [request] = json.loads(system.hutch("approvals", "--run", "nested", "--json").stdout)
        began = time.monotonic()
        approved = system.hutch("approve", request["approval_id"])
        assert approved.returncode == 0, approved.stderr
        command_s = time.monotonic() - began
        reply = pika.reply()
        answered_s = time.monotonic() - began
    assert reply.status == "ok", reply.body
    assert nested(system) == ["ok", "ok"]
    return (
        ("everything killed; both agents started again in", f"{started_s:.1f} s"),
        (
            "a nested call approved: the command; the answer",
            f"{command_s:.1f} s; {answered_s:.1f} s",
        ),
        (
            "model calls of both runs in all; calls of the tool",
            f"{len(requests(system))}; 1",
        ),
    )


def of(child: Child) -> float:
    """Its memory in MB."""
    return costs.of_agents([child.process.pid]).rss_mb


def idle(child: Child) -> float:
    """The CPU of a process in which nothing happens, in ms a second."""
    before = costs.of_agents([child.process.pid])
    time.sleep(IDLE_S)
    return a_second(before, costs.of_agents([child.process.pid])).cpu_s * 1000


def file(system: System) -> str:
    return system.env["HUTCH_STORE"].removeprefix("sqlite:///")


def rows(system: System) -> dict[str, int]:
    with closing(sqlite3.connect(file(system))) as store:
        counts = {
            "parked": "runs WHERE state = 'parked'",
            "approvals": "approvals WHERE state = 'pending'",
            "steps": "steps",
        }
        return {
            name: store.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for name, table in counts.items()
        }


def nested(system: System) -> list[str]:
    """The states of the two runs of the nested task."""
    with closing(sqlite3.connect(file(system))) as store:
        found = store.execute(
            "SELECT coalesce(status, state) FROM runs WHERE root_id = 'nested' ORDER BY agent"
        )
        return [row[0] for row in found]


if __name__ == "__main__":
    main()
