from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from services.gateway.system.attention import Attention, attention
from services.gateway.system.observation import Observed
from shared.client.system.status import AgentStatus, ScheduleStatus, SystemStatus
from shared.store.queries.stuck import LimitWait

AT = datetime(2026, 1, 1, tzinfo=UTC)


def status(*agents: AgentStatus, **fields: Any) -> SystemStatus:
    known: dict[str, Any] = {
        "scheduler": 1,
        "gateway": 1,
        "schedules": [],
        "dead_letters": 0,
        "dead_letters_by_reason": {},
        "takes_messages": True,
        "store": None,
        "broker": None,
        "faults": [],
    }
    return SystemStatus(agents=list(agents), **(known | fields))


def agent(name: str = "bob", replicas: int = 1, **counts: int | bool) -> AgentStatus:
    return AgentStatus(name, replicas, **counts)  # type: ignore[arg-type]  # some are bool


def found(
    seen: SystemStatus,
    late: dict[str, int] | None = None,
    abandoned: dict[str, int] | None = None,
    faults: dict[str, str] | None = None,
) -> list[Attention]:
    return attention(
        Observed(seen, late or {}, abandoned or {}), faults or {}, lambda _: True, all_agents=True
    )


def test_nothing_needs_a_person_while_work_is_done() -> None:
    busy = agent(queued=3, due=2, running=4, waiting=1, delayed=9)
    assert found(status(busy, agent("tom", 0))) == []


def test_runs_that_wait_for_a_models_limit_for_a_minute_are_one_line() -> None:
    waits = LimitWait("gpt-5*", "60 requests per minute", 14, 75.0, 0.0)
    (item,) = found(status(limits=[waits]))
    assert (item.kind, item.count) == ("limit", 14)
    assert item.sentence == (
        "14 runs wait, for up to 75 s, for the limit of model gpt-5*: 60 requests per minute."
    )
    assert found(status(limits=[replace(waits, longest_s=20.0)])) == []


def test_each_trouble_is_one_sentence_and_the_worst_comes_first() -> None:
    troubled = [
        agent("bob", 0, queued=1, due=1, unsent=2),
        agent("tom", paused=True, queued=1),
        agent("harry", postponed=1),
        agent("alice"),
    ]
    late = ScheduleStatus("alice", "plan", None, None, AT, late=True)
    seen = status(*troubled, dead_letters=2, schedules=[late])
    items = found(
        seen, {"bob": 9, "alice": 3}, {"alice": 1, "bob": 1}, {"carl": "a.yaml: wrong\nx"}
    )
    assert [(it.kind, it.sentence) for it in items] == [
        ("fault", "The file of carl has a fault: a.yaml: wrong."),
        ("no_process", "No process of bob runs: 2 tasks wait."),
        ("dead_owner", "1 run of alice had a process that has died."),
        (
            "late_schedule",
            "The schedule alice.plan is late, although a scheduler runs: it read the files at its "
            "start, so restart it.",
        ),
        ("late", "3 runs of alice wait for more than a minute to start."),
        ("dead_letters", "2 dead letters wait for a decision."),
        (
            "postponed",
            "1 run of harry waits after a failure, such as one of the model's endpoint, and will "
            "be tried again.",
        ),
        ("unsent", "2 messages of bob wait for a process that sends them."),
        ("paused", "tom is paused: 1 task waits."),
    ]


def test_calls_that_wait_for_approval_lead_to_the_page_that_decides() -> None:
    (one,) = found(status(agent("carol", parked=3, approvals=1)))
    assert (one.kind, one.sentence) == ("approval", "1 call of carol waits for approval.")
    assert one.view == "/approvals?agent=carol"


def test_a_key_for_one_agent_sees_nothing_of_others_and_of_the_system() -> None:
    seen = status(agent("bob", paused=True), agent("tom", paused=True), dead_letters=2)
    items = attention(Observed(seen, {}, {}), {}, lambda it: it == "bob", all_agents=False)
    assert [it.agent for it in items] == ["bob"]


def test_a_store_or_a_broker_that_is_away_is_the_first_of_all() -> None:
    seen = status(scheduler=None, faults=["no connection to the broker"], takes_messages=None)
    assert [(it.kind, it.sentence) for it in found(seen)] == [
        ("broker", "No connection to the broker.")
    ]
