"""The figures of one system on this machine: `python -m tests.bench.figures`.

A manager with eight workers in eight processes, 1 s in each worker's model call: from publish to
reply, as a client sees it; and what an idle agent costs. Nothing else should run beside it.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

from rich.console import Console

from shared.store.database.migrate import migrate
from tests.support.brokers.rabbitmq import container, vhost
from tests.support.client import Client, client
from tests.support.processes import running
from tests.support.processes.running import System

WORKERS = [f"w{number}" for number in range(1, 9)]
ROUNDS = 5
IDLE_S = 10.0
say = Console(highlight=False).print


def define(folder: Path) -> Path:
    agents = folder / "agents"
    agents.mkdir()
    for name in WORKERS:
        (agents / f"{name}.yaml").write_text(f"name: {name}", "utf-8")
    boss = {"name": "boss", "workers": WORKERS}
    (agents / "boss.yaml").write_text(json.dumps(boss), "utf-8")
    return agents


def started_s(system: System, name: str) -> float:
    """From the start of a process until it consumes."""
    began = time.monotonic()
    system.agents(name)
    return time.monotonic() - began


def fan_out_s(pika: Client) -> float:
    calls = "".join(f'[[call {name} {{"prompt": "[[latency 1]]go"}}]]' for name in WORKERS)
    began = time.monotonic()
    reply = pika.ask("boss", calls)
    assert reply.status == "ok"
    assert reply.body["usage"]["model_calls"] == len(WORKERS) + 2
    return time.monotonic() - began


def memory_mb(pid: int) -> dict[str, float]:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8").splitlines()[1:]
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in rollup}
    return {name: round(sizes[name], 1) for name in ("Rss", "Pss")}


def measure(system: System, pika: Client) -> None:
    starts = [started_s(system, name) for name in (*WORKERS, "boss")]
    say(f"start until consuming: median {statistics.median(starts):.2f} s of {len(starts)}")
    warm_s = fan_out_s(pika)
    rounds = sorted(fan_out_s(pika) for _ in range(ROUNDS))
    shown = ", ".join(f"{took_s:.2f}" for took_s in rounds)
    say(f"eight workers of 1 s, publish to reply: median {statistics.median(rounds):.2f} s")
    say(f"  ({shown}; the first, which loads the model's client: {warm_s:.2f} s)")
    time.sleep(IDLE_S)  # the figure is that of an agent which has been idle so long
    say(f"an agent, {IDLE_S:.0f} s idle: {memory_mb(system.children[1].process.pid)} MB")


def main() -> None:
    with tempfile.TemporaryDirectory() as name, container() as server, vhost(server) as rabbit:
        folder = Path(name)
        with (
            running.system(rabbit.url, folder, define(folder)) as system,
            client(rabbit.url) as pika,
        ):
            asyncio.run(migrate(system.env["HUTCH_STORE"]))
            system.model()
            measure(system, pika)


if __name__ == "__main__":
    main()
