"""Half a minute of everything that can be sent, on each store; and that the report would notice."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import pytest

from tests.chaos.supervisor import Ended
from tests.fuzz.draws.commands import command
from tests.fuzz.draws.plan import KINDS, Message, volley
from tests.fuzz.draws.replies import reply
from tests.fuzz.game import play
from tests.fuzz.ledger import Ledger
from tests.fuzz.logs import in_lines
from tests.fuzz.report import Found, Report

pytestmark = pytest.mark.essential

SECONDS = 30
LEAST_MESSAGES, LEAST_COMMANDS = 100, 1
"""In that time, on a slow machine."""


@pytest.mark.long
@pytest.mark.parametrize(("store", "seed"), [("sqlite", 9), ("postgresql", 10)])
def test_half_a_minute_of_random_input_breaks_no_promise(
    store: str, seed: int, tmp_path: Path
) -> None:
    report = play(store, seconds=SECONDS, seed=seed, folder=tmp_path, say=print)
    assert report.violations == [], f"seed {seed}"
    assert report.ledger.sent["confirmed"] >= LEAST_MESSAGES
    assert report.found.commands_given >= LEAST_COMMANDS


@pytest.mark.parametrize("plan", [volley, command])
def test_a_seed_makes_one_plan(plan: Callable[[int, int], object]) -> None:
    assert [plan(1, n) for n in range(50)] == [plan(1, n) for n in range(50)]
    assert [plan(1, n) for n in range(50)] != [plan(2, n) for n in range(50)]


def test_every_kind_of_volley_comes_soon_and_no_two_messages_share_a_call() -> None:
    messages = [message for n in range(1000) for message in volley(1, n)]
    asked = [it.call for it in messages if it.owed]
    assert len(set(asked)) == len(asked)
    exchanges = {it.exchange for it in messages}
    assert exchanges == {"hutch.tasks", "hutch.replies", "hutch.control", "hutch.swarm.ring"}
    assert {it.reply for it in messages} == {"kept", "named", "direct", "none", "odd"}
    assert max(len(it.body) for it in messages) > 1024 * 1024
    assert len(KINDS) == 10


def test_a_message_that_the_broker_may_drop_unread_is_owed_no_answer() -> None:
    soon = (it for n in count() for it in volley(1, n) if it.properties.get("expiration") == "0")
    assert not any(it.owed for it in islice(soon, 10))


def test_an_honest_task_is_answered_honestly_and_a_wild_one_by_the_seed() -> None:
    def said(seed: int, content: str) -> bytes:
        return reply(seed, {"messages": [{"role": "user", "content": content}]}).body

    assert b"honest f1.x is done" in said(1, "Hello: honest f1.x")
    wild = [said(1, f"wild f{n}.") for n in range(20)]
    assert wild == [said(1, f"wild f{n}.") for n in range(20)]
    assert wild != [said(2, f"wild f{n}.") for n in range(20)]


ASKED = Message("hutch.tasks", "boss", b"{}", "kept", owed=True, properties={"correlation_id": "c"})


def ledger(*answers: tuple[str, str], status: str = "ok", asked: Message = ASKED) -> Ledger:
    """One message, confirmed, and these answers to it: message id and content."""
    made = Ledger(io.StringIO())
    made.trying("1.0", asked)
    made.became("1.0", asked, "confirmed")
    for message_id, content in answers:
        body = json.dumps({"status": status, "content": content}).encode()
        made.receive("c", message_id, body)
    return made


RIGHT = ("run.response", "done")


def violations(of: Ledger, found: Found | None = None) -> list[str]:
    return Report(of, found or Found()).violations


@pytest.mark.parametrize(
    "answers",
    [
        [RIGHT],
        [RIGHT, RIGHT],
        [RIGHT, ("run.2.response", "done better")],
        [("a.refused", "no"), ("b.refused", "no")],
    ],
    ids=["once", "copied", "replayed", "refused twice"],
)
def test_one_response_each_violates_nothing(answers: list[tuple[str, str]]) -> None:
    assert violations(ledger(*answers)) == []


@pytest.mark.parametrize(
    "answers",
    [
        [RIGHT, ("run.response", "other")],
        [RIGHT, ("another.response", "done")],
        [RIGHT, ("a.refused", "no")],
        [("a.refused", "no"), ("a.refused", "never")],
    ],
    ids=["differing", "of two runs", "answered and refused", "refused for two reasons"],
)
def test_two_responses_are_a_violation(answers: list[tuple[str, str]]) -> None:
    assert violations(ledger(*answers)) == ["answered in two ways: 1: 1.0 ('c')"]


def test_a_task_refused_for_its_expiration_is_answered_when_it_is_replayed() -> None:
    asked = replace(ASKED, properties={"correlation_id": "c", "expiration": "1"})
    refused = ("a.refused", "no")
    assert violations(ledger(refused, RIGHT, asked=asked)) == []
    assert violations(ledger(refused, RIGHT, ("run.response", "other"), asked=asked)) != []


def test_a_task_refused_for_a_used_id_is_answered_when_replayed_after_the_id_was_forgotten() -> (
    None
):
    of = ledger(("a.refused", "no"))
    of.commanded("hutch forget talk-1", "0: forgot 3 runs of session 'talk-1'")
    of.receive("c", RIGHT[0], b'{"status": "ok", "content": "yes"}')
    assert violations(of) == []
    before = ledger(("a.refused", "no"), RIGHT)
    before.commanded("hutch status", "0")
    assert violations(before) != []


def test_a_task_without_an_answer_is_a_violation_unless_its_channel_was_lost() -> None:
    of = ledger()
    assert violations(of) == ["unanswered: 1: 1.0 ('c')"]
    of.forgive({"c"})
    assert violations(of) == []


def test_an_answer_that_no_client_can_read_is_a_violation() -> None:
    of = ledger()
    of.receive("c", "run.response", b'{"usage": ' + b"9" * 5000 + b"}")
    [reported] = violations(of)
    assert reported.startswith("answers that no client can read: 1: 1.0 ('c'): ")


def test_an_answer_to_no_task_is_a_violation() -> None:
    of = ledger(RIGHT)
    of.receive("d", "x.response", b'{"status": "ok", "content": ""}')
    assert violations(of) == ["answers to nothing: 1: d"]


def test_a_process_may_end_when_it_was_asked_to_and_never_by_itself() -> None:
    asked, died = Ended("boss", 0, "bye"), Ended("hand", 1, "a line\nthe last")
    assert violations(ledger(RIGHT), Found(ended=[asked])) == []
    [reported] = violations(ledger(RIGHT), Found(ended=[asked, died, died]))
    assert reported.startswith("process deaths: 2: 2 of hand (1)")
    assert "the last" in reported


@pytest.mark.parametrize(
    "wrong",
    [
        "slots: boss.1 has 2 taken and 0 open runs",
        "waiting: 3 in agent.boss",
        "unacked: 1 in swarm.poet",
        "consumers: 0 of 1 at agent.boss",
        "outbox: 1 of boss",
        "open runs: 1 of boss",
        "processes: boss ended with code 1",
    ],
)
def test_each_invariant_that_is_broken_at_the_end_is_a_violation(wrong: str) -> None:
    [reported] = violations(ledger(RIGHT), Found(wrong=[wrong]))
    assert wrong in reported


def test_agents_that_are_silent_and_commands_that_break_are_violations() -> None:
    silent = violations(ledger(RIGHT), Found(silent={"boss": "nothing within 20 s"}))
    assert silent == ["agents that don't answer an honest task: 1: boss: nothing within 20 s"]
    [broken] = violations(ledger(RIGHT), Found(commands=["hutch show x: a fault of ours"]))
    assert "hutch show x" in broken


LOG = """\
{"message": "consuming", "level": "info"}
{"message": "a tool has raised", "level": "warning", "exception": "Traceback"}
{"message": "run not ended yet", "level": "error", "reason": "it does not fit"}
Traceback (most recent call last):
  File "x.py"
ValueError: no

{"message": "ended", "level": "info"}
"""


def test_errors_and_bare_traces_in_a_log_are_violations_and_warnings_are_not() -> None:
    found = list(in_lines(LOG.splitlines()))
    assert [it.kind for it in found] == ["run not ended yet: it does not fit", "ValueError: no"]
    reported = violations(ledger(RIGHT), replace(Found(), faults=[*found, found[1]]))
    assert [it.partition("\n")[0] for it in reported] == [
        "in the logs, 1 times: run not ended yet: it does not fit",
        "in the logs, 2 times: ValueError: no",
    ]


def test_the_journal_records_the_outcome_of_each_message() -> None:
    kept = io.StringIO()
    made = Ledger(kept)
    made.trying("1.0", ASKED)
    made.became("1.0", ASKED, "refused by the broker: x")
    line = json.loads(kept.getvalue())
    assert (line["message"], line["fate"], line["key"]) == (
        "1.0",
        "refused by the broker: x",
        "boss",
    )
    assert made.owed == 0
    assert made.unanswered == set()
    assert made.sent == {"refused by the broker": 1}
