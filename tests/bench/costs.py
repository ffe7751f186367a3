"""Memory and use of agents, broker and store: read twice, with some time in between.

Each reading has its time: on a busy machine one alone takes seconds.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from tests.bench.load import used_s
from tests.support.stores.postgresql import Postgres

T = TypeVar("T")
MB = 1024**2

BROKER = """
  {Used, _} = erlang:statistics(runtime),
  {ok, Files} = file:list_dir("/proc/" ++ os:getpid() ++ "/fd"),
  {ok, Status} = file:read_file("/proc/" ++ os:getpid() ++ "/status"),
  {match, [Rss]} = re:run(Status, "VmRSS:[^0-9]*([0-9]+)", [{capture, all_but_first, list}]),
  Messages = lists:sum([maps:get(messages_received_total, Of, 0)
    || Of <- maps:values(rabbit_global_counters:overview())]),
  {Used, list_to_integer(Rss), length(rabbit_networking:connections()),
   length(rabbit_channel:list()), rabbit_amqqueue:count(), length(Files), Messages}."""
"""The whole node's figures, in the order of the fields of `Broker`."""

STORE = """
  SELECT numbackends, xact_commit, (SELECT wal_bytes::bigint FROM pg_stat_wal),
  (SELECT wal_sync FROM pg_stat_wal) FROM pg_stat_database WHERE datname = '{name}'"""


@dataclass(frozen=True)
class Agents:
    at_s: float
    cpu_s: float
    written_mb: float
    pss_mb: float
    rss_mb: float


@dataclass(frozen=True)
class Broker:
    at_s: float
    cpu_s: float
    memory_mb: float
    connections: float
    channels: float
    queues: float
    files: float
    messages: float


@dataclass(frozen=True)
class Store:
    """PostgreSQL's; its memory is that of its processes, without what they share."""

    at_s: float
    cpu_s: float
    memory_mb: float
    connections: float
    commits: float
    wal_mb: float
    syncs: float


def of_agents(pids: Iterable[int]) -> Agents:
    at_s = time.monotonic()
    found = [_of_process(pid) for pid in pids]
    return Agents(at_s, *(sum(column) for column in zip(*found, strict=True)))


def _of_process(pid: int) -> tuple[float, float, float, float]:
    """In the order of the fields of `Agents`."""
    process = psutil.Process(pid)
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8")
    kb = dict(re.findall(r"^(Pss|Rss): +(\d+) kB", rollup, re.M))
    written_mb = process.io_counters().write_bytes / MB
    return used_s(process), written_mb, int(kb["Pss"]) / 1024, int(kb["Rss"]) / 1024


def of_broker(ctl: Callable[..., str]) -> Broker:
    at_s, found = time.monotonic(), ctl("eval", BROKER)
    used_ms, rss_kb, *others = (int(number) for number in re.findall(r"\d+", found))
    return Broker(at_s, used_ms / 1000, rss_kb / 1024, *others)


def of_store(server: Postgres, url: str) -> Store:
    at_s, name = time.monotonic(), url.rpartition("/")[2]
    connections, commits, wal_bytes, syncs = server.sql(STORE.format(name=name)).split("|")
    stats = server.container.get_wrapped_container().stats(stream=False)
    memory = stats["memory_stats"]["stats"]
    return Store(
        at_s,
        cpu_s=stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9,
        memory_mb=memory.get("anon", memory.get("total_rss", 0)) / MB,  # cgroups v2 and v1
        connections=int(connections),
        commits=int(commits),
        wal_mb=int(wal_bytes) / MB,
        syncs=int(syncs),
    )


def a_second(before: T, after: T) -> T:
    """Each figure's growth between two readings, a second."""
    was, now = vars(before), vars(after)
    return type(before)(
        **{name: (now[name] - was[name]) / (now["at_s"] - was["at_s"]) for name in now}
    )


def more(before: T, after: T) -> T:
    """The difference of each figure."""
    was, now = vars(before), vars(after)
    return type(before)(**{name: now[name] - was[name] for name in now})


def beyond(few: T, many: T, factor: float) -> T:
    """Each figure on the straight line through two measurements, `factor` times their distance
    beyond the second."""
    first, second = vars(few), vars(many)
    return type(few)(
        **{name: second[name] + (second[name] - first[name]) * factor for name in second}
    )
