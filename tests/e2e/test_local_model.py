"""A real model on this machine drives Alice and Bob to an answer. Its wit is not judged."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.client import client
from tests.support.processes.running import system

ANSWER_S = 240.0
"""Three replies, a quarter of a minute on two idle cores; each is bounded in its length."""


def test_alice_asks_bob_and_answers(broker_for_local_model: str, tmp_path: Path) -> None:
    url = broker_for_local_model
    with system(url, tmp_path) as own, client(url) as pika:
        up = own.start("services.cli", "up", "alice", "bob", "--provider", "local")
        for name in ("alice", "bob"):
            up.wait_for(rf'{name} +\| .*"consuming"')
        ask = "Ask Bob to write an email for you and let me know what he has written."
        call = pika.send("alice", ask)
        reply = pika.reply(ANSWER_S)
        listed = own.hutch("runs", "bob", "--json").stdout
        assert up.end() == 0
    bobs = json.loads(listed)
    assert reply.correlation_id == call
    assert reply.status in {"ok", "partial"}, reply.body
    assert reply.content.strip()
    assert reply.body["model"] == "smollm2-135m"
    assert [run for run in bobs if run["status"] in {"ok", "partial"}], up.output
