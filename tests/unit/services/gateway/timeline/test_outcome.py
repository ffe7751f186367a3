"""The one sentence on a run."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pytest

from services.gateway.timeline.outcome import duration, outcome
from shared.client.costs import Cost
from shared.contract.messages import Response, Status, Usage
from shared.store.queries.reports import Row

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
COST = Cost(0.03)
USED = Usage(model_calls=5, input_tokens=12_000, output_tokens=300)


def sentence(
    status: str,
    said: str = "It is late.",
    *,
    detail: str | None = None,
    agents: Collection[str] = (),
    usage: Usage = USED,
    cost: Cost = COST,
    due_in_s: float | None = None,
    waits_for: str = "",
) -> str:
    claimed_at = NOW - timedelta(seconds=12.34)
    is_open = status not in set(Status)
    due_at = None if due_in_s is None else NOW + timedelta(seconds=due_in_s)
    row = Row(
        run_id="a" * 32,
        agent="alice",
        task_id="t1",
        kind="task",
        status=status,
        root_id="t1",
        parent_id=None,
        attempts=0,
        claimed_at=claimed_at,
        ended_at=None if is_open else NOW,
        session=None,
        text="",
        due_at=due_at,
    )
    response = None
    if not is_open:
        response = Response(task_id="t1", agent="alice", status=Status(status), content=said)
    return outcome(row, response, detail, agents, usage, cost, NOW, waits_for)


def test_an_answer_names_the_time_the_agents_and_what_was_used() -> None:
    assert sentence("ok", agents={"bob", "carol"}) == (
        "Answered after 12.3 s by alice with 2 workers: 5 model calls, 12,300 tokens, $0.03."
    )
    assert sentence("ok", cost=Cost(), usage=Usage()) == "Answered after 12.3 s by alice."
    incomplete = Cost(0.03, frozenset({"odd"}))
    assert sentence("ok", cost=incomplete).endswith(" tokens, at least $0.03.")


@pytest.mark.parametrize(
    ("status", "detail", "begins"),
    [
        ("partial", "turn limit", "Answered in part after 12.3 s by alice (turn limit): 5 model"),
        ("failed", "trace", "Failed after 12.3 s (It is late): 5 model calls"),
        ("refused", None, "Refused after 12.3 s (It is late): "),
        ("timeout", None, "Timed out after 12.3 s (It is late): "),
        ("cancelled", None, "Cancelled after 12.3 s: "),
        ("running", None, "Running for 12.3 s at alice: "),
        ("waiting", None, "Waiting for its workers, for 12.3 s since it was claimed: "),
        ("due", None, "Waiting to be taken by a process of alice, for 12.3 s: "),
    ],
)
def test_every_status_has_its_words(status: str, detail: str | None, begins: str) -> None:
    assert sentence(status, detail=detail).startswith(begins)


def test_a_parked_run_names_the_calls_that_wait() -> None:
    said = sentence("parked", waits_for="refund of carol", usage=Usage())
    assert said == ("Waiting for the approval of refund of carol, for 12.3 s since it was claimed.")


def test_a_postponed_run_says_when_it_is_due_and_why() -> None:
    said = sentence("due", detail="503\nbusy", due_in_s=90, usage=Usage())
    assert said == "Due in 1 min 30 s (503 busy)."


def test_a_long_reason_is_cut() -> None:
    assert len(sentence("failed", "x" * 10_000)) < 400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0.0 s"), (59.94, "59.9 s"), (61, "1 min 1 s"), (7_261, "2 h 1 min")],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text
