"""docs/operations.md, followed by somebody who was woken up: each command runs as it stands."""

from __future__ import annotations

import re
import shlex
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.pages import COMMANDS
from tests.support.processes.clerk import LONG_S, Clerk, call, define, letters
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import House, until

pytestmark = [
    pytest.mark.long,
    pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session"),
]


def said(house: House, command: str, **names: str) -> str:
    """What a command of the page says, with names in the place of its capitals."""
    assert command in COMMANDS, "the page says it otherwise"
    _, *arguments = (names.get(word, word) for word in shlex.split(command))
    done = house.hutch(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def clerk(house: House, agents: Path) -> Clerk:
    return define(house, agents)


def database(house: House) -> Path:
    return Path(house.env["HUTCH_STORE"].removeprefix("sqlite:///"))


def change(house: House, statement: str) -> None:
    with closing(sqlite3.connect(database(house), isolation_level=None)) as store:
        store.execute(statement)


def test_a_provider_is_down_and_those_it_has_failed_are_replayed(
    house: House, pika: Client
) -> None:
    [bob] = house.agents("bob")
    pika.send("bob", {"content": "[[fail 503 8]][[reply Here.]]", "id": "t1"})
    bob.says("run put off")
    change(house, "UPDATE runs SET due_at = due_at + 3600")  # while we look at it
    assert "t1" in said(house, "hutch runs --status due")
    assert "503" in said(house, "hutch show RUN", RUN="t1")
    change(house, "UPDATE runs SET failures = 8, due_at = claimed_at")  # the last of its tries, now
    assert pika.reply().status == "failed"
    assert "put off 8 times" in said(house, 'hutch dead list --reason "put off"')
    said(house, 'hutch dead replay --reason "put off" --all')
    reply = pika.reply()
    assert (reply.status, reply.content) == ("ok", "Here.")


def test_a_bill_that_runs_away_is_held_and_its_cause_cancelled(
    house: House, pika: Client, asked: Asked
) -> None:
    house.agents("bob")
    culprit = pika.send("bob", {"content": "[[latency 60]]One.", "id": "dear"})
    other = pika.send("bob", {"content": "[[latency 6]]Two.", "id": "cheap"})
    until(lambda: len(asked()) == 2)
    said(house, "hutch pause all")
    assert "paused" in said(house, "hutch status")
    assert "dear" in said(house, "hutch runs --status running")
    said(house, "hutch cancel ID", ID="dear")
    said(house, "hutch unpause all")
    statuses = {reply.correlation_id: reply.status for reply in pika.replies(2)}
    assert statuses == {culprit: "cancelled", other: "ok"}


def test_a_poison_is_looked_at_and_dropped_or_replayed(house: House, pika: Client) -> None:
    house.agents("bob")
    for body in (b'{"type": "poem"}', b"\xff"):
        pika.send("bob", body)
        assert pika.reply().status == "refused"
    assert "poem" in said(house, "hutch dead list")
    poem, bytes_ = (str(letter["id"]) for letter in letters(house))
    assert "UTF-8" in said(house, "hutch dead show LETTER", LETTER=bytes_)
    said(house, "hutch dead drop LETTER", LETTER=bytes_)
    said(house, "hutch dead replay LETTER", LETTER=poem)
    until(lambda: [it["id"] for it in letters(house)] not in ([], [poem]))
    assert len(letters(house)) == 1, "a hopeless one comes back, and stays"


@pytest.mark.parametrize(
    ("decision", "effects"),
    [
        ("hutch dead replay LETTER --tool-done RESULT", ["7"]),
        ("hutch dead replay LETTER --tool-again", ["7", "7"]),
    ],
)
def test_a_tool_in_doubt_is_decided(
    house: House, pika: Client, clerk: Clerk, decision: str, effects: list[str]
) -> None:
    [first] = house.agents("clerk")
    pika.send("clerk", call("pay", 3))
    until(lambda: clerk.effects)
    first.kill()
    house.agents("clerk")
    assert pika.reply().status == "failed"
    (letter,) = letters(house)
    said(house, decision, LETTER=str(letter["id"]), RESULT="paid 7")
    assert pika.reply().status == "ok"
    assert clerk.effects == effects


def test_room_is_made_by_forgetting_a_session(house: House, pika: Client) -> None:
    house.agents("bob")
    pika.ask("bob", {"content": "Remember me.", "id": "t1", "session": "talk"})
    assert "t1" in house.hutch("runs").stdout
    said(house, "hutch forget SESSION", SESSION="talk")
    assert "t1" not in house.hutch("runs").stdout


def test_an_old_backup_is_looked_through_before_anything_runs(
    house: House, pika: Client, asked: Asked
) -> None:
    running = house.agents("alice", "bob")
    pika.send("alice", {"content": '[[call bob {"prompt": "[[latency 4]]Write."}]]', "id": "old"})
    until(lambda: len(asked()) == 2)
    backup = database(house).with_name("backup.db")
    with (
        closing(sqlite3.connect(database(house))) as store,
        closing(sqlite3.connect(backup)) as copy,
    ):
        store.backup(copy)
    assert pika.reply().status == "ok"
    newer = pika.ask("bob", {"content": "Since then.", "id": "new"})
    said(house, "hutch shutdown all --stop")
    assert [child.ended() for child in running] == [0, 0]
    for leftover in database(house).parent.glob("hutch.db*"):
        leftover.unlink()
    shutil.copy(backup, database(house))
    said(house, "hutch migrate")
    said(house, "hutch pause all")
    house.agents("alice", "bob")
    assert "paused" in said(house, "hutch status")
    assert "old" in said(house, "hutch runs --status waiting")
    paid = len(asked())
    said(house, "hutch cancel ID", ID="old")
    said(house, "hutch unpause all")
    assert pika.reply().status == "cancelled"
    assert len(asked()) == paid
    again = pika.ask("bob", {"content": "Since then.", "id": "new"})
    assert again.content == newer.content
    assert len(asked()) == paid + 1, "a task since the backup is run again, when it is sent again"


def test_a_run_that_hangs_goes_on_elsewhere_or_is_ended(
    house: House, pika: Client, clerk: Clerk
) -> None:
    [hanging] = house.agents("clerk")
    pika.send("clerk", {"content": call("lookup", LONG_S), "id": "stuck"})
    until(lambda: clerk.effects)
    assert "lookup" in said(house, "hutch show RUN", RUN="stuck")
    assert re.search(r"(?m)^clerk +1 .* 1 ", said(house, "hutch status"))
    said(house, "hutch shutdown AGENT --stop", AGENT="clerk")
    assert hanging.ended() == 0
    house.agents("clerk")
    until(lambda: len(clerk.effects) == 2)
    said(house, "hutch cancel ID", ID="stuck")
    assert pika.reply().status == "cancelled"
