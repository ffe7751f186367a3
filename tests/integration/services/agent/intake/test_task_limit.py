"""A tool that sends its own agent two tasks for each, under fresh ids: it comes to rest."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from shared.contract.topology import EVENTS
from shared.store.database.migrate import migrate
from tests.support.brokers.divided import divide
from tests.support.brokers.rabbitmq import Rabbit
from tests.support.client import Client
from tests.support.processes import running
from tests.support.processes.running import Child, System, until

pytestmark = pytest.mark.long

LIMIT = 10
TOOL = """
import json
import os
from pathlib import Path
from uuid import uuid4

import pika


def spread() -> str:
    url = os.environ["RABBITMQ_URL"] or Path(os.environ["RABBITMQ_URL_FILE"]).read_text().strip()
    parameters = pika.URLParameters(url)
    properties = pika.BasicProperties(user_id=parameters.credentials.username)
    with pika.BlockingConnection(parameters) as connection:
        for _ in range(2):
            task = {{"id": uuid4().hex, "content": "[[call spread {{}}]]", **{said}}}
            body = json.dumps(task).encode()
            connection.channel().basic_publish("hutch.tasks", "carol", body, properties)
    return "sent"
"""
CAROL = """
name: carol
workers: [helper]
tools: [{{function: "spread.py:spread", repeatable: true}}]
limits: {{caused_per_minute: {limit}}}
"""
SPREAD = "[[call spread {}]]"


def define(agents: Path, said: dict[str, str]) -> None:
    (agents / "tools").mkdir()
    (agents / "tools" / "spread.py").write_text(TOOL.format(said=said), "utf-8")
    (agents / "carol.yaml").write_text(CAROL.format(limit=LIMIT), "utf-8")
    (agents / "helper.yaml").write_text("name: helper", "utf-8")


def waiting(channel: BlockingChannel) -> int:
    """Messages in the mailbox."""
    count: int = channel.queue_declare("agent.carol", passive=True).method.message_count
    return count


def at_rest(system: System, channel: BlockingChannel) -> Counter[str]:
    """Wait until nothing is open or queued; the runs by status."""
    found = [Counter[str]()]

    def rests() -> bool:
        """Twice the same: a message on its way is neither in the mailbox nor a run."""
        listed = json.loads(system.hutch("runs", "--json", "--limit", "1000").stdout)
        before, found[0] = found[0], Counter(run["status"] for run in listed)
        ended = {"ok", "refused"} == found[0].keys()
        return ended and before == found[0] and not waiting(channel)

    until(rests)
    return found[0]


def check(runs: Counter[str], carol: Child) -> None:
    assert runs["ok"] <= LIMIT + 1, "the first, and as many as the limit allows"
    assert runs.total() == 1 + 2 * runs["ok"], "all that was sent became runs, and no more came"
    assert "tasks refused for a minute" in carol.output
    assert f"runs of carol have caused more than {LIMIT} tasks of carol" in carol.output


def test_the_sender_that_its_tasks_name_is_held(system: System, pika: Client, agents: Path) -> None:
    define(agents, {"sender": "carol"})
    system.env["HUTCH_AGENTS"] = str(agents)
    [carol] = system.agents("carol")
    events = pika.channel.queue_declare("", exclusive=True).method.queue
    pika.channel.queue_bind(events, EVENTS, "carol.tasks.limit")
    assert pika.ask("carol", {"id": "first", "content": SPREAD}).status == "ok"
    check(at_rest(system, pika.channel), carol)
    assert json.loads(pika.taken(events)[1])["detail"] == {"cause": "carol", "limit": LIMIT}
    assert pika.ask("carol", "[[reply yes]]").status == "ok", "others are heard meanwhile"
    refused = json.loads(system.hutch("runs", "--json", "--status", "refused").stdout)[0]
    again = {"id": refused["task_id"], "content": SPREAD, "sender": "carol"}
    assert pika.ask("carol", again).content.startswith("not begun: runs of carol")


def test_its_user_is_limited_though_its_tasks_name_no_agent(
    rabbit: Rabbit, agents: Path, tmp_path: Path
) -> None:
    define(agents, {})
    with running.system(rabbit.url, tmp_path, agents) as system:
        divided = divide(rabbit, tmp_path / "users", agents)
        asyncio.run(migrate(system.env["HUTCH_STORE"]))
        system.model()
        carol = system.start("services.agent", "carol", **divided.env("agent.carol"))
        carol.wait_for("consuming")
        sent = system.hutch("send", "carol", SPREAD, **divided.env("operator"))
        assert sent.returncode == 0, sent.stderr
        with divided.all_powerful() as channel:
            check(at_rest(system, channel), carol)
