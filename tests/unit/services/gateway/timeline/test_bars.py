"""The bars of a run, from journals of every kind."""

from __future__ import annotations

from dataclasses import replace

from services.gateway.timeline.bar import BarKind
from services.gateway.timeline.bars import Life, bars, turns_in_progress
from tests.support.bars import BOB, ENDED, TOOL, T, drawn, mark, only, step, times


def test_each_step_of_a_quiet_run_is_a_bar_of_its_own_length() -> None:
    steps = [
        step(1, 0, 2, 1.5),
        step(1, 1, 5, 2.5, kind="tool", name="lookup"),
        step(2, 0, 10, 4.0),
    ]
    life = replace(ENDED, steps=steps)
    assert drawn(life) == [("model", 0.5, 2), ("tool", 2.5, 5), ("model", 6, 10)]
    assert [it.step and it.step.turn for it in bars(life)] == [1, 1, 2]
    assert only(life, BarKind.TOOL).name == "lookup"


def test_the_last_step_is_a_bar_although_it_is_stored_a_moment_after_the_end() -> None:
    life = replace(ENDED, steps=[step(1, 0, 10.001, 9.5)])
    assert drawn(life) == [("model", 0.501, 10.001)]


def test_a_step_of_an_earlier_version_begins_where_the_one_before_has_ended() -> None:
    steps = [
        step(1, 0, 2),
        step(1, 1, 4, kind="tool", name="a"),
        step(1, 2, 5, kind="worker", name="bob"),
        step(2, 0, 10),
    ]
    assert drawn(replace(ENDED, steps=steps)) == [
        ("model", 0, 2),
        ("tool", 2, 4),
        ("worker", 2, 5),
        ("model", 5, 10),
    ]


def test_a_run_is_queued_from_its_message_to_its_claim() -> None:
    life = replace(ENDED, sent_at=T - 3)
    assert drawn(life)[0] == ("queued", -3, 0)
    assert len(bars(replace(ENDED, sent_at=T + 1))) == 1, "its sender's clock is wrong"


def test_a_run_that_found_no_slot_waits_for_one() -> None:
    life = replace(ENDED, marks=[mark("started", 4, "alice.1")], steps=[step(1, 0, 10, 5.9)])
    assert drawn(life) == [("slot", 0, 4), ("model", 4.1, 10)]
    assert only(life, BarKind.MODEL).instance == "alice.1"
    waiting = only(replace(life, session="s1"), BarKind.SLOT)
    assert waiting.reason == "for a slot, or for its turn in session s1"


def test_a_delayed_run_waits_for_its_time_and_then_for_a_slot() -> None:
    life = replace(ENDED, not_before=T + 3, marks=[mark("started", 4)], steps=[step(1, 0, 10, 5.9)])
    assert drawn(life) == [("postponed", 0, 3), ("slot", 3, 4), ("model", 4.1, 10)]
    due = Life("due", T, None, not_before=T + 3)
    assert drawn(due) == [("postponed", 0, 3), ("slot", 3, None)]


def test_a_postponed_run_shows_the_failing_call_the_wait_and_that_it_goes_on() -> None:
    life = replace(
        ENDED,
        marks=[mark("postponed", 2, "alice.1", "503"), mark("started", 7, "alice.2")],
        steps=[step(1, 0, 10, 2.9)],
    )
    assert drawn(life) == [
        ("model", 0, 2),
        ("postponed", 2, 7),
        ("resumed", 7, 7),
        ("model", 7.1, 10),
    ]
    failing, waiting, resumed, model = bars(life)
    assert (failing.instance, failing.reason, waiting.reason) == ("alice.1", "503", "503")
    assert (resumed.instance, model.instance) == ("alice.2", "alice.2")


def test_a_postponed_run_that_is_still_due_has_an_open_bar() -> None:
    life = Life("due", T, None, marks=[mark("postponed", 2, "alice.1", "503")])
    assert drawn(life) == [("model", 0, 2), ("postponed", 2, None)]


def test_a_takeover_shows_the_interrupted_call_the_dead_process_and_the_new_owner() -> None:
    life = replace(
        ENDED,
        steps=[step(1, 0, 1, 0.9), step(2, 0, 10, 1.9)],
        marks=[mark("taken_over", 8, "alice.2", "alice.1")],
        calls={1: [TOOL]},
    )
    assert drawn(life) == [
        ("model", 0.1, 1),
        ("tool", 1, 5),
        ("dead", 5, 8),
        ("resumed", 8, 8),
        ("model", 8.1, 10),
    ]
    _, lost, dead, resumed, model = bars(life)
    assert lost.reason == "alice.1 has died"
    assert dead.reason == "taken over by alice.2"
    assert [it.instance for it in (lost, dead, resumed, model)] == [
        "alice.1",
        "alice.1",
        "alice.2",
        "alice.2",
    ]


def test_a_process_that_died_right_after_a_step_is_dead_from_then_on() -> None:
    life = replace(
        ENDED,
        steps=[step(1, 0, 6, 5.9), step(2, 0, 10, 1.9)],
        marks=[mark("taken_over", 8, "alice.2", "alice.1")],
    )
    assert ("dead", 6, 8) in drawn(life)
    assert [it.kind for it in bars(life)].count(BarKind.MODEL) == 2


def test_a_run_that_is_taken_over_twice_has_two_dead_owners() -> None:
    life = replace(
        ENDED,
        marks=[
            mark("taken_over", 4, "alice.2", "alice.1"),
            mark("taken_over", 8, "alice.3", "alice.2"),
        ],
        steps=[step(1, 0, 10, 1.9)],
    )
    dead = [it for it in bars(life) if it.kind is BarKind.DEAD]
    assert [(it.instance, *times(it)) for it in dead] == [("alice.1", 1, 4), ("alice.2", 5, 8)]


def test_a_run_that_is_handed_over_is_parked_until_another_process_takes_it() -> None:
    life = replace(
        ENDED,
        marks=[mark("handed_over", 3, "alice.1"), mark("started", 5, "alice.2")],
        steps=[step(1, 0, 2, 1.9), step(2, 0, 10, 4.9)],
    )
    assert drawn(life) == [
        ("model", 0.1, 2),
        ("model", 2, 3),
        ("parked", 3, 5),
        ("resumed", 5, 5),
        ("model", 5.1, 10),
    ]


def test_a_replayed_run_is_parked_from_its_failure_to_its_replay() -> None:
    life = replace(
        ENDED,
        epoch=2,
        marks=[mark("replayed", 6), mark("started", 7, "alice.2")],
        steps=[step(1, 0, 2, 1.9), step(2, 0, 10, 2.9, epoch=2)],
    )
    assert drawn(life) == [
        ("model", 0.1, 2),
        ("parked", 2, 6),
        ("slot", 6, 7),
        ("resumed", 7, 7),
        ("model", 7.1, 10),
    ]
    last = bars(life)[-1]
    assert last.step is not None
    assert last.step.epoch == 2


def test_a_running_run_shows_what_it_does() -> None:
    life = Life("running", T, None, owner="alice.1")
    assert drawn(life) == [("model", 0, None)]
    life = replace(life, steps=[step(1, 0, 2, 1.9)], calls={1: [TOOL, BOB]})
    life = replace(life, children={(1, 2): "b" * 32})
    assert drawn(life) == [("model", 0.1, 2), ("tool", 2, None), ("worker", 2, None)]
    assert only(life, BarKind.WORKER).child_run_id == "b" * 32
    assert {it.instance for it in bars(life)} == {"alice.1"}
    answered = step(1, 1, 3, 1.0, kind="tool", name="lookup")
    life = replace(life, steps=[*life.steps, answered])
    assert drawn(life)[1:] == [("tool", 2, 3), ("worker", 2, None)]
    life = replace(life, steps=[*life.steps, step(1, 2, 5, 3.0, kind="worker", name="bob")])
    assert drawn(life)[-1] == ("model", 5, None), "the next call of the model"


def test_what_was_in_progress_at_a_failed_end_is_shown_without_a_result() -> None:
    life = replace(ENDED, status="timeout", steps=[step(1, 0, 2, 1.9)], calls={1: [BOB]})
    bar = only(life, BarKind.WORKER)
    assert times(bar) == (2, 10)
    assert bar.reason == "no result: the run ended as timeout"
    assert drawn(replace(ENDED, status="refused", ended_at=T, steps=[])) == []


def test_the_answer_to_a_cancelled_call_ends_with_the_run() -> None:
    cancelled = step(1, 1, 10, kind="tool", name="lookup")
    life = replace(ENDED, status="cancelled", steps=[step(1, 0, 2, 1.9), cancelled])
    assert ("tool", 2, 10) in drawn(life)


def test_a_summary_of_old_turns_is_a_model_call() -> None:
    life = replace(ENDED, steps=[step(1, -3, 4, 3.0, name="shorten"), step(1, 0, 10, 5.0)])
    assert drawn(life) == [("model", 1, 4), ("model", 5, 10)]


def test_replies_are_only_needed_where_a_call_can_have_no_answer() -> None:
    assert turns_in_progress(ENDED) == set()
    interrupted = replace(
        ENDED,
        steps=[step(1, 0, 1), step(2, 0, 10)],
        marks=[mark("taken_over", 5, "alice.2", "alice.1")],
    )
    assert turns_in_progress(interrupted) == {1}
    assert turns_in_progress(replace(interrupted, status="running")) == {1, 2}


def test_no_bar_ends_before_it_begins() -> None:
    """A step's length is measured by another clock than its end."""
    life = replace(ENDED, steps=[step(1, 0, 2, 500.0), step(2, 0, 10, -1.0)])
    assert all(it.to is None or it.from_ <= it.to for it in bars(life))
