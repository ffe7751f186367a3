"""Steady load: tasks from a client that isn't ours, one after the other, and what came of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from tests.support.client import Reply, client

EVERY_S = 0.5
"""Between two tasks: some are under way at any moment, and two cores keep up."""
MOST_OPEN = 8
"""Tasks that wait for their response at once: on a slow machine the load is slower too."""


@contextmanager
def load(
    url: str, agent: str, content: Callable[[int], str], every_s: float = EVERY_S
) -> Iterator[dict[str, str]]:
    """Tasks `t0`, `t1`, … until the block ends; then their ids, each with its one status.

    Fails at the end when a task has no response, or a second one.
    """
    answered: dict[str, str] = {}

    def receive(reply: Reply) -> None:
        assert reply.body["task_id"] not in answered
        answered[reply.body["task_id"]] = reply.status

    enough, faults = Event(), list[BaseException]()

    def send() -> None:
        with client(url) as pika:
            number = 0
            while not enough.wait(every_s):
                while reply := pika.received():
                    receive(reply)
                if number - len(answered) < MOST_OPEN:
                    pika.send(agent, {"content": content(number), "id": f"t{number}"})
                    number += 1
            while len(answered) < number:
                receive(pika.reply())
            time.sleep(every_s)
            assert pika.received() is None

    def send_all() -> None:
        try:
            send()
        except BaseException as fault:  # noqa: BLE001 - raised where the test can see it
            faults.append(fault)

    sending = Thread(target=send_all)
    sending.start()
    try:
        yield answered
    finally:
        enough.set()
        sending.join()
    for fault in faults:
        raise fault
