"""The model server's own count of what it was asked, and for which step."""

from __future__ import annotations

import json
import re
import threading
import urllib.request
from collections import Counter
from typing import Any

EVERY_S = 2.0
"""Between two polls: the server's log drops its oldest entries after 2000 requests."""
TASK = re.compile(r"task-\d+-\d+")


class Calls(threading.Thread):
    """Reads the log again and again; every request has a number, by which it is known."""

    def __init__(self, base_url: str) -> None:
        super().__init__(name="calls", daemon=True)
        self._log = base_url.removesuffix("/v1") + "/requests"
        self._steps: dict[int, str] = {}
        self._ending = threading.Event()
        self.total = 0

    def run(self) -> None:
        while not self._ending.wait(EVERY_S):
            self.poll()

    def end(self) -> None:
        self._ending.set()
        self.join()
        self.poll()

    def poll(self) -> None:
        with urllib.request.urlopen(self._log, timeout=30) as reply:
            log = json.load(reply)
        self.total = int(log["count"])
        first = self.total - len(log["requests"])
        for number, request in enumerate(log["requests"], first):
            self._steps[number] = step_of(request)

    def by_step(self) -> Counter[str]:
        return Counter(self._steps.values())


def step_of(request: dict[str, Any]) -> str:
    """A request's agent (recognised by its tools and workers), task and turn."""
    messages = request["messages"]
    said = " ".join(message["content"] for message in messages if message["role"] == "user")
    task = TASK.search(said)
    turn = 1 + sum(message["role"] == "assistant" for message in messages)
    return f"{'+'.join(request['tools'])} {task[0] if task else '?'} turn {turn}"
