"""A minute of everything that can go wrong, on each store; and that the report would notice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.agents import MODEL_CALLS, answer
from tests.chaos.game import play
from tests.chaos.ledger import Ledger
from tests.chaos.nemesis import Done, Fault, plan
from tests.chaos.report import Costs, Left, Report, quantile

LEAST_FAULTS = 4
"""In a minute; the longest outages last 20 s."""
KINDS = {"kill": (0.0, 0.0), "freeze": (1.0, 2.0), "lock": (2.0, 3.0)}
NOTHING_LEFT = Left(wrong=[], dead=["poison-1-2"])


@pytest.mark.long
@pytest.mark.parametrize(("store", "seed"), [("sqlite", 20), ("postgresql", 21)])
def test_a_minute_of_chaos_breaks_no_promise(store: str, seed: int, tmp_path: Path) -> None:
    report = play(store, seconds=60, seed=seed, folder=tmp_path, say=print)
    assert report.violations == [], f"seed {seed}"
    assert len(report.done) >= LEAST_FAULTS
    assert report.ledger.poisons, "some malformed messages"


def test_a_seed_makes_one_plan_and_every_kind_has_its_turn() -> None:
    first, again, other = (plan(seed, KINDS) for seed in (1, 1, 2))
    faults = [next(first) for _ in range(9)]
    assert faults == [next(again) for _ in range(9)]
    assert faults != [next(other) for _ in range(9)]
    assert {fault.kind for fault in faults[:3]} == KINDS.keys()
    assert all(1 <= fault.seconds <= 2 for fault in faults if fault.kind == "freeze")


def receive(ledger: Ledger, task: str, content: str, status: str = "ok") -> None:
    ledger.receive(task, f'{{"status": "{status}", "content": "{content}"}}'.encode())


def game() -> tuple[Ledger, Left, Costs]:
    """Two tasks and a poison, and all as it should be."""
    ledger = Ledger(tried={"task-1-1", "task-2-1"}, confirmed={"task-1-1", "task-2-1"})
    ledger.poisons.add("poison-1-2")
    for task in ledger.confirmed:
        receive(ledger, task, answer(task))
    receive(ledger, "poison-1-2", "no JSON", "refused")
    calls = Counter(f"{task} turn {n}" for task in ledger.confirmed for n in range(MODEL_CALLS))
    return ledger, NOTHING_LEFT, Costs(calls, {"task-1-1": 1, "task-2-1": 1}, 1, 0)


def violations(ledger: Ledger, left: Left, costs: Costs) -> list[str]:
    return Report(ledger, left, costs, []).violations


def test_a_game_without_faults_has_no_violation() -> None:
    assert violations(*game()) == []


def test_a_copy_of_a_response_is_counted_and_no_violation() -> None:
    ledger, left, costs = game()
    receive(ledger, "task-1-1", answer("task-1-1"))
    report = Report(ledger, left, costs, [])
    assert report.violations == []
    assert ("copies of a response delivered again", "1") in report.rows


def test_each_broken_promise_of_an_answer_is_reported() -> None:
    ledger, left, costs = game()
    ledger.confirmed.add("task-1-3")
    receive(ledger, "task-1-1", "something else", "failed")
    receive(ledger, "task-9-9", "out of nowhere")
    del ledger.received["task-2-1"]
    said = "\n".join(violations(ledger, left, costs))
    assert "lost: 2: task-1-3, task-2-1" in said
    assert "answered in two ways: 1: task-1-1" in said
    assert "unexpected: 1: task-9-9" in said


def test_a_first_answer_that_is_wrong_is_reported() -> None:
    ledger, left, costs = game()
    ledger.received["task-1-1"].clear()
    receive(ledger, "task-1-1", "given up", "failed")
    assert violations(ledger, left, costs) == ["not ok: 1: task-1-1: failed: given up"]


def test_calls_paid_twice_beyond_one_for_each_death_are_reported() -> None:
    ledger, left, costs = game()
    costs.model_calls["task-1-1 turn 0"] += 1
    assert violations(ledger, left, costs) == []
    costs.model_calls["task-1-1 turn 1"] += 1
    costs.marks["task-2-1"] = 4
    assert violations(ledger, left, costs) == [
        "model calls: 2 repeated: task-1-1 turn 0, task-1-1 turn 1",
        "tool effects: 2 too many: task-2-1",
    ]


def test_leftover_runs_slots_and_messages_are_reported() -> None:
    ledger, left, costs = game()
    wrong = ["open runs: 1 of boss", "slots: boss.1 has 1 taken", "waiting: 3 in agent.boss"]
    assert violations(ledger, replace(left, wrong=wrong), costs) == [
        "left: slots: 1: slots: boss.1 has 1 taken",
        "left: open runs: 1: open runs: 1 of boss",
        "left: waiting: 1: waiting: 3 in agent.boss",
    ]
    assert violations(ledger, replace(left, dead=["task-1-1"]), costs) == [
        "poisons not among the dead letters: 1: poison-1-2",
        "dead letters that are no poisons: 1: task-1-1",
    ]


def test_a_process_that_ends_by_itself_is_reported() -> None:
    ledger, left, costs = game()
    assert violations(ledger, replace(left, ended=["boss (1): a fault"]), costs) == [
        "ended by themselves: 1: boss (1): a fault"
    ]


def test_quantiles_are_values_that_were_measured() -> None:
    assert quantile([5.0, 1.0, 3.0], 0.5) == 3.0
    assert quantile([5.0, 1.0, 3.0], 0.95) == 5.0
    assert quantile([1.0], 0.5) == 1.0


def test_recovery_ends_with_the_next_answer_and_leaves_out_other_faults() -> None:
    ledger, left, costs = game()
    now = min(it.at for them in ledger.responses().values() for it in them)
    kill = Done(Fault("kill", 1.0, 0.0, 0.5), now - 10, now - 10)
    lock = Done(Fault("lock", 1.0, 6.0, 0.5), now - 9, now - 3)
    rows = dict(Report(ledger, left, costs, [kill, lock]).rows)
    assert rows["kill, times"] == "1; longest recovery 4.0 s"
    assert rows["lock, times"] == "1; longest recovery 3.0 s"
