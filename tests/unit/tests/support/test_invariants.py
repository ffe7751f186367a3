"""The invariants: slots by a process's page, runs and outbox by its store."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from shared.store import Store, open_store
from shared.store.database.migrate import migrate
from shared.store.runs.claim import freeze
from tests.support.invariants import Agent, Slots, leaked, left_in_store, slots
from tests.support.stores.steps import DEFINITION, claimed, ended, owned, request


@contextmanager
def reporting(page: str) -> Iterator[Agent]:
    """A process whose /metrics says this."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield Agent("bob", "bob.1", server.server_port)
        server.shutdown()


def test_slots_are_read_from_the_metrics_of_the_process() -> None:
    with reporting("hutch_slots_taken 2.0\nhutch_runs_open 1.0\n") as agent:
        assert slots(agent) == Slots(taken=2, open=1)


def test_slots_that_are_taken_when_nothing_is_under_way_are_leaked() -> None:
    with reporting("hutch_slots_taken 2.0\nhutch_runs_open 0.0\n") as agent:
        assert list(leaked([agent])) == ["slots: bob.1 has 2 taken and 0 open runs"]
    with reporting("hutch_slots_taken 0.0\nhutch_runs_open 0.0\n") as agent:
        assert list(leaked([agent])) == []


def test_a_process_that_does_not_answer_is_no_process_at_rest() -> None:
    [violation] = leaked([Agent("bob", "bob.1", 1)])
    assert violation.startswith("processes: bob.1 does not answer")


async def left(url: str, *, due: bool, unsent: bool) -> None:
    async with open_store(url) as store:
        await store.write("", lambda db: freeze(db, DEFINITION, '{"name": "alice"}'))
        if due:
            await claimed(store, request("t1"), slot=False)
        if unsent:
            await answered(store, "t2")


async def answered(store: Store, task: str) -> None:
    """Its response stands in the outbox."""
    assert await ended(store, await owned(store, task))


def test_open_runs_and_unsent_responses_are_left_in_the_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hutch.db'}"
    asyncio.run(migrate(url))
    assert list(left_in_store(url)) == []
    asyncio.run(left(url, due=True, unsent=False))
    assert list(left_in_store(url)) == ["open runs: 1 of alice"]
    asyncio.run(left(url, due=False, unsent=True))
    assert list(left_in_store(url)) == ["open runs: 1 of alice", "outbox: 1 of alice"]
