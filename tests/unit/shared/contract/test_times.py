from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.contract.messages import Task, Trigger, decode, encode
from shared.contract.priority import Priority
from shared.contract.times import MOST_DELAY, delay_fault

NOW = datetime.now(UTC)
LATER = NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("not_before", "deadline", "session", "fault"),
    [
        (NOW + MOST_DELAY + timedelta(hours=1), None, None, "at most 30 days"),
        (LATER, LATER, None, "would never run"),
        (LATER, None, "s1", "a task of a session can't be delayed"),
    ],
)
def test_a_delay_that_no_task_can_have_has_a_reason(
    not_before: datetime, deadline: datetime | None, session: str | None, fault: str
) -> None:
    assert fault in (delay_fault(not_before, deadline, session) or "")


@pytest.mark.parametrize("not_before", [None, NOW - timedelta(days=400)])
def test_a_task_without_a_start_in_the_future_is_not_delayed(not_before: datetime | None) -> None:
    assert delay_fault(not_before, NOW, "s1") is None


def test_a_task_may_be_delayed_until_shortly_before_its_deadline() -> None:
    assert delay_fault(LATER, LATER + timedelta(seconds=1), None) is None


@pytest.mark.parametrize("kind", [Task, Trigger])
def test_only_a_priority_that_is_not_the_default_is_sent(kind: type[Task | Trigger]) -> None:
    """Earlier versions refuse the field."""
    sent = [encode(kind(content="x", priority=it)) for it in Priority]
    assert [b"priority" in body for body in sent] == [
        it != kind(content="x").priority for it in Priority
    ]
    assert [decode(body) for body in sent] == [kind(content="x", priority=it) for it in Priority]


def test_tasks_are_interactive_and_triggers_are_not() -> None:
    assert (Task(content="x").priority.amqp, Trigger().priority.amqp) == (5, None)
