"""docs/operations.md, followed word for word: each command runs as it is written."""

from __future__ import annotations

import re
import shlex
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.brokers.rabbitmq import Rabbit
from tests.support.client import Client
from tests.support.pages import COMMANDS
from tests.support.processes.clerk import LONG_S, Clerk, call, dead_letters, define
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System, until
from tests.support.processes.shop import PAY
from tests.support.processes.shop import define as define_shop

pytestmark = [
    pytest.mark.long,
    pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session"),
]


def said(system: System, command: str, **names: str) -> str:
    """The output of a command of the page, with names in the place of its capitals."""
    assert command in COMMANDS, "the page says it otherwise"
    _, *arguments = (names.get(word, word) for word in shlex.split(command))
    done = system.hutch(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def clerk(system: System, agents: Path) -> Clerk:
    return define(system, agents)


def database(system: System) -> Path:
    return Path(system.env["HUTCH_STORE"].removeprefix("sqlite:///"))


def change(system: System, statement: str) -> None:
    with closing(sqlite3.connect(database(system), isolation_level=None)) as store:
        store.execute(statement)


def test_a_provider_is_down_and_those_it_has_failed_are_replayed(
    system: System, pika: Client
) -> None:
    [bob] = system.agents("bob")
    pika.send("bob", {"content": "[[fail 503 8]][[reply Here.]]", "id": "t1"})
    bob.wait_for("run postponed")
    change(system, "UPDATE runs SET due_at = due_at + 3600")  # so that it stays due meanwhile
    assert "t1" in said(system, "hutch runs --status due")
    assert "503" in said(system, "hutch show RUN", RUN="t1")
    change(
        system, "UPDATE runs SET failures = 8, due_at = claimed_at"
    )  # the last of its tries, now
    assert pika.reply().status == "failed"
    assert "postponed 8 times" in said(system, "hutch dead list --reason postponed")
    said(system, "hutch dead replay --reason postponed --all")
    reply = pika.reply()
    assert (reply.status, reply.content) == ("ok", "Here.")


def test_a_costly_task_is_found_during_a_pause_and_cancelled(
    system: System, pika: Client, asked: Asked
) -> None:
    system.agents("bob")
    culprit = pika.send("bob", {"content": "[[latency 60]]One.", "id": "dear"})
    other = pika.send("bob", {"content": "[[latency 6]]Two.", "id": "cheap"})
    until(lambda: len(asked()) == 2)
    said(system, "hutch pause all")
    assert "paused" in said(system, "hutch status")
    assert "dear" in said(system, "hutch runs --status running")
    said(system, "hutch cancel ID", ID="dear")
    said(system, "hutch unpause all")
    statuses = {reply.correlation_id: reply.status for reply in pika.replies(2)}
    assert statuses == {culprit: "cancelled", other: "ok"}


def test_a_poison_is_shown_and_then_dropped_or_replayed(system: System, pika: Client) -> None:
    system.agents("bob")
    for body in (b'{"type": "poem"}', b"\xff"):
        pika.send("bob", body)
        assert pika.reply().status == "refused"
    assert "poem" in said(system, "hutch dead list")
    poem, bytes_ = (str(dead_letter["id"]) for dead_letter in dead_letters(system))
    assert "UTF-8" in said(system, "hutch dead show ID", ID=bytes_)
    said(system, "hutch dead drop ID", ID=bytes_)
    said(system, "hutch dead replay ID", ID=poem)
    until(lambda: [it["id"] for it in dead_letters(system)] not in ([], [poem]))
    assert len(dead_letters(system)) == 1, "a hopeless one comes back, and stays"


@pytest.mark.parametrize(
    ("decision", "effects"),
    [
        ("hutch dead replay ID --tool-done RESULT", ["7"]),
        ("hutch dead replay ID --tool-again", ["7", "7"]),
    ],
)
def test_a_tool_in_doubt_is_decided(
    system: System, pika: Client, clerk: Clerk, decision: str, effects: list[str]
) -> None:
    [first] = system.agents("clerk")
    pika.send("clerk", call("pay", 3))
    until(lambda: clerk.effects)
    first.kill()
    system.agents("clerk")
    assert pika.reply().status == "failed"
    (dead_letter,) = dead_letters(system)
    said(system, decision, ID=str(dead_letter["id"]), RESULT="paid 7")
    assert pika.reply().status == "ok"
    assert clerk.effects == effects


def test_a_call_that_waits_for_approval_is_found_and_decided(
    system: System, pika: Client, agents: Path
) -> None:
    shop = define_shop(system, agents)
    system.agents("carol")
    pika.send("carol", PAY)
    until(lambda: "pay" in said(system, "hutch approvals"))
    with closing(sqlite3.connect(database(system))) as store:
        ((approval,),) = store.execute("SELECT approval_id FROM approvals").fetchall()
    assert shop.paid == []
    said(system, "hutch approve ID", ID=approval)
    assert pika.reply().status == "ok"
    assert shop.paid == ["17"]


def test_space_is_freed_by_forgetting_a_session(system: System, pika: Client) -> None:
    system.agents("bob")
    pika.ask("bob", {"content": "Remember me.", "id": "t1", "session": "talk"})
    assert "t1" in system.hutch("runs").stdout
    said(system, "hutch forget SESSION", SESSION="talk")
    assert "t1" not in system.hutch("runs").stdout


def test_an_old_backup_is_inspected_before_any_run_starts(
    system: System, pika: Client, asked: Asked
) -> None:
    running = system.agents("alice", "bob")
    pika.send("alice", {"content": '[[call bob {"prompt": "[[latency 4]]Write."}]]', "id": "old"})
    until(lambda: len(asked()) == 2)
    backup = database(system).with_name("backup.db")
    with (
        closing(sqlite3.connect(database(system))) as store,
        closing(sqlite3.connect(backup)) as copy,
    ):
        store.backup(copy)
    assert pika.reply().status == "ok"
    newer = pika.ask("bob", {"content": "Since then.", "id": "new"})
    said(system, "hutch shutdown all --stop")
    assert [child.ended() for child in running] == [0, 0]
    for leftover in database(system).parent.glob("hutch.db*"):
        leftover.unlink()
    shutil.copy(backup, database(system))
    said(system, "hutch migrate")
    said(system, "hutch pause all")
    system.agents("alice", "bob")
    assert "paused" in said(system, "hutch status")
    assert "old" in said(system, "hutch runs --status waiting")
    paid = len(asked())
    said(system, "hutch cancel ID", ID="old")
    said(system, "hutch unpause all")
    assert pika.reply().status == "cancelled"
    assert len(asked()) == paid
    again = pika.ask("bob", {"content": "Since then.", "id": "new"})
    assert again.content == newer.content
    assert len(asked()) == paid + 1, "a task since the backup is run again, when it is sent again"


def test_a_run_that_hangs_continues_elsewhere_or_is_ended(
    system: System, pika: Client, clerk: Clerk
) -> None:
    [hanging] = system.agents("clerk")
    pika.send("clerk", {"content": call("lookup", LONG_S), "id": "stuck"})
    until(lambda: clerk.effects)
    assert "lookup" in said(system, "hutch show RUN", RUN="stuck")
    assert re.search(r"(?m)^clerk +1 .* 1 ", said(system, "hutch status"))
    assert "\n0 faults" in said(system, "hutch doctor")
    said(system, "hutch shutdown AGENT --stop", AGENT="clerk")
    assert hanging.ended() == 0
    system.agents("clerk")
    until(lambda: len(clerk.effects) == 2)
    said(system, "hutch cancel ID", ID="stuck")
    assert pika.reply().status == "cancelled"


def test_a_mailbox_without_a_leader_has_one_elected(
    system: System, pika: Client, rabbit: Rabbit
) -> None:
    elected = """rabbitmqctl eval '{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"agent.bob">>)), ra:trigger_election(amqqueue:get_pid(Q)).'"""  # noqa: E501 - as on the page
    assert elected in COMMANDS, "the page says it otherwise"
    [bob] = system.agents("bob")
    rabbit.remove_leader("agent.bob")
    rabbit.close_connections_of("bob.")
    bob.wait_for("did not answer in time to consume from 'agent.bob'")
    _, *arguments = shlex.split(elected.replace('"/"', f'"{rabbit.vhost}"'))
    assert rabbit.ctl(*arguments) == "ok"
    until(lambda: pika.consumers("agent.bob") == 1)
    pika.send("bob", {"content": "[[reply Here.]]", "id": "t1"})
    assert pika.reply().content == "Here."
