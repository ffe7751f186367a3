from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from services.agent.intake.task_limit import WINDOW_S, TaskLimit, causing_agent
from shared.contract.messages import Task
from shared.definitions.model import Definition, Limits
from shared.store import Store
from tests.support.processes.instances import delivery, instance

KNOWN = {"alice", "bob"}
LINEAGE = Task(id="t", content="x", path=("alice", "bob"), sender="alice")
SENDER = Task(id="t", content="x", sender="bob")
FOREIGN = Task(id="t", content="x", sender="shop")


@pytest.mark.parametrize(
    ("message", "user", "agent"),
    [
        (LINEAGE, "guest", "bob"),
        (SENDER, None, "bob"),
        (FOREIGN, "guest", None),
        (FOREIGN, "agent.bob", "bob"),
        (LINEAGE, "agent.bob", "bob"),
        (LINEAGE, "operator", None),
    ],
)
def test_the_cause_is_the_brokers_user_or_the_last_of_the_lineage(
    message: Task, user: str | None, agent: str | None
) -> None:
    assert causing_agent(message, delivery(b"", user_id=user), KNOWN) == agent


@pytest.mark.parametrize(
    ("reply_to", "correlation_id", "agent"),
    [
        ("reply.bob.bob.12345678", "t", None),
        ("reply.bob.bob.12345678", "another", "bob"),
        ("reply.alice.alice.12345678", "t", "bob"),
        ("amq.gen-1", "t", "bob"),
    ],
)
def test_a_call_that_a_manager_waits_for_is_not_counted(
    reply_to: str, correlation_id: str, agent: str | None
) -> None:
    came = delivery(b"", reply_to=reply_to, correlation_id=correlation_id)
    assert causing_agent(LINEAGE, came, KNOWN) == agent


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def capped(store: Store, most: int, clock: Clock) -> TaskLimit:
    return TaskLimit(
        instance(store, Definition(name="alice", limits=Limits(caused_per_minute=most))), clock
    )


async def test_one_too_many_within_a_minute_is_refused_by_agent_and_limit(store: Store) -> None:
    caused = capped(store, 2, Clock())
    assert [caused.refusal("bob"), caused.refusal("bob")] == [None, None]
    assert caused.refusal("bob") == (
        "not begun: runs of bob have caused more than 2 tasks of alice within a minute, "
        "the limit caused_per_minute of alice's file"
    )
    assert caused.refusal("carol") is None, "each has its own"


async def test_the_minute_slides(store: Store) -> None:
    caused = capped(store, 2, clock := Clock())
    assert caused.refusal("bob") is None
    clock.now += WINDOW_S / 2
    assert caused.refusal("bob") is None
    clock.now += WINDOW_S / 2
    assert caused.refusal("bob") is None, "the first was a minute ago"
    assert caused.refusal("bob") is not None


async def test_an_endless_stream_is_refused_until_a_minute_without_tasks(store: Store) -> None:
    caused = capped(store, 2, clock := Clock())
    for _ in range(2):
        caused.refusal("bob")
    for _ in range(10):
        clock.now += WINDOW_S / 4
        assert caused.refusal("bob") is not None
        caused.refusal("bob")
    clock.now += WINDOW_S
    assert caused.refusal("bob") is None


async def test_the_limit_is_reported_once_a_minute(store: Store) -> None:
    caused = capped(store, 1, clock := Clock())
    with capture_logs() as lines:
        for _ in range(5):
            caused.refusal("bob")
        clock.now += WINDOW_S - 1
        caused.refusal("bob")
        assert [(it["log_level"], it["cause"]) for it in lines] == [("warning", "bob")]
        clock.now += 1
        caused.refusal("bob")
    assert len(lines) == 2


async def test_invented_names_are_forgotten_after_a_minute(store: Store) -> None:
    caused = capped(store, 1, clock := Clock())
    for number in range(100):
        caused.refusal(f"a{number}")
    clock.now += WINDOW_S
    caused.refusal("bob")
    assert list(caused._recent) == ["bob"]
