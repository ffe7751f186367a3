"""The bars of runs that wait for an approval."""

from __future__ import annotations

from dataclasses import replace

from services.gateway.timeline.bar import BarKind
from services.gateway.timeline.bars import AskedCall, Life, PlannedCall, turns_in_progress
from tests.support.bars import BOB, TOOL, T, drawn, mark, only, step

REFUND = PlannedCall(2, BarKind.TOOL, "refund")


def asked(decided_at: float | None = None, decision: str = "") -> AskedCall:
    at = None if decided_at is None else T + decided_at
    return AskedCall(1, 1, 2, "refund", T + 3, at, decision)


PARKED = Life(
    "parked",
    T,
    None,
    steps=[step(1, 0, 2, 1.5), step(1, 1, 3, 0.9, kind="tool", name="lookup")],
    marks=[mark("parked", 3, "alice.1", "refund")],
    calls={1: [TOOL, REFUND]},
    asked=[asked()],
)


def test_a_parked_run_shows_the_call_that_waits_and_no_call_in_progress() -> None:
    assert turns_in_progress(PARKED) == {1}
    assert drawn(PARKED) == [("model", 0.5, 2), ("tool", 2.1, 3), ("approval", 3, None)]
    bar = only(PARKED, BarKind.APPROVAL)
    assert (bar.name, bar.instance, bar.step and bar.step.position) == ("refund", None, 2)


def test_after_a_decision_the_run_waits_for_a_slot_and_makes_the_call() -> None:
    due = replace(PARKED, status="due", asked=[asked(90, "approved by ops")])
    assert drawn(due)[2:] == [("approval", 3, 90), ("slot", 90, None)]
    assert only(due, BarKind.APPROVAL).reason == "approved by ops"
    over = replace(
        due,
        status="ok",
        ended_at=T + 99,
        marks=[*PARKED.marks, mark("started", 95, "alice.2")],
        steps=[
            *PARKED.steps,
            step(1, 2, 97, 1.5, kind="tool", name="refund"),
            step(2, 0, 99, 1.9),
        ],
    )
    assert drawn(over)[2:] == [
        ("approval", 3, 90),
        ("slot", 90, 95),
        ("resumed", 95, 95),
        ("tool", 95.5, 97),
        ("model", 97.1, 99),
    ]


def test_an_approved_call_in_progress_is_a_bar_and_one_that_still_waits_is_none() -> None:
    mail = PlannedCall(3, BarKind.TOOL, "mail")
    life = replace(
        PARKED,
        status="running",
        owner="alice.2",
        marks=[*PARKED.marks, mark("started", 95, "alice.2")],
        calls={1: [TOOL, REFUND, mail]},
        asked=[asked(90, "approved"), AskedCall(1, 1, 3, "mail", T + 3, None, "")],
    )
    assert drawn(life)[2:] == [
        ("approval", 3, 90),
        ("approval", 3, None),
        ("slot", 90, 95),
        ("resumed", 95, 95),
        ("tool", 95, None),
    ]


def test_a_manager_that_is_parked_with_its_worker_has_one_bar_for_the_call() -> None:
    life = replace(
        PARKED,
        marks=[mark("parked", 8, "alice.1", "workers")],
        calls={1: [TOOL, BOB]},
        asked=[],
    )
    assert drawn(life)[1:] == [
        ("worker", 2, None),
        ("tool", 2.1, 3),
        ("parked", 8, None),
    ]
    over = replace(
        life,
        status="ok",
        ended_at=T + 99,
        marks=[*life.marks, mark("started", 95, "alice.2")],
        steps=[
            *PARKED.steps,
            step(1, 2, 96, 0.2, kind="worker", name="bob"),
            step(2, 0, 99, 2.5),
        ],
    )
    assert drawn(over)[1:] == [
        ("worker", 2, 96),
        ("tool", 2.1, 3),
        ("parked", 8, 95),
        ("resumed", 95, 95),
        ("model", 96.5, 99),
    ]


def test_a_run_that_is_cancelled_while_parked_ends_its_bars() -> None:
    life = replace(PARKED, status="cancelled", ended_at=T + 50, asked=[asked(50, "withdrawn")])
    assert drawn(life)[2:] == [("approval", 3, 50)]
