"""The phrases in prompts: their text, and that each reader finds what its writer wrote."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from shared.contract import prompts

TASKS = "\n".join(
    [prompts.finished_task("A?", "One.\nTwo."), prompts.finished_task("B?", "Three.")]
)


def test_the_text_of_each_phrase_stays_what_stored_notes_and_tuned_models_know() -> None:
    assert prompts.note("tom", "rain") == "From tom: rain"
    assert prompts.call("bob", "{}") == "I use bob: {}"
    assert prompts.result("bob", "Dear all") == "Result of bob: Dear all"
    assert prompts.finished_task("A?", "One.") == "- asked: A?\n  answered: One."


@pytest.mark.parametrize("end", ["", "\n\nNo more turns."])
def test_the_time_is_added_in_utc_and_removed_again(end: str) -> None:
    at = datetime(2026, 5, 4, 11, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert prompts.dated("Do it.", at) == "Do it.\n\nIt is 2026-05-04 09:30 UTC."
    assert prompts.undated(prompts.dated("Do it.", at) + end) == "Do it." + end


def test_notes_are_read_by_peer_with_and_without_their_list() -> None:
    notes = [prompts.note("tom", "rain"), prompts.LIST_ITEM + prompts.note("eve", "sun\nNo.")]
    assert prompts.notes_by_peer("\n".join(["Notes:", *notes])) == {"tom": "rain", "eve": "sun"}


def test_a_call_names_its_tool_and_other_text_none() -> None:
    assert prompts.called_tool(prompts.call("count_words", '{"text": "a"}')) == "count_words"
    assert prompts.called_tool("I use bob") == ""


@pytest.mark.parametrize("end", ["", prompts.ANSWER_REMINDER])
def test_a_result_is_read_without_the_reminder(end: str) -> None:
    assert prompts.result_content(prompts.result("bob", "one\n\ntwo") + end) == "one\n\ntwo"


def test_a_tick_is_split_before_its_tasks_and_ends_with_the_latest_answer() -> None:
    assert prompts.split_tick(f"Sum up:\n{TASKS}") == ("Sum up:\n", TASKS)
    assert prompts.latest_answer(TASKS) == "Three."


def test_a_text_without_tasks_is_no_tick() -> None:
    assert prompts.split_tick("Sum up: - asked: A?") == ("Sum up: - asked: A?", "")
    assert prompts.latest_answer("") == ""
