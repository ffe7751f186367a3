from __future__ import annotations

import pytest

from services.agent.vouched import check, speakers
from shared.errors import BadMessage
from shared.messages import Task, Trigger
from tests.instances import delivery

KNOWN = ("alice", "bob", "tom")


def heard(message: Task | Trigger, user_id: str | None, received_as: str = "agent.bob") -> None:
    said = delivery(b"", user_id=user_id, received_as=received_as)
    check(said, *speakers(message, KNOWN))


def test_a_task_is_its_last_agents_whoever_began_it() -> None:
    task = Task(content="Write.", path=("tom", "alice"), sender="alice")
    heard(task, "agent.alice")
    with pytest.raises(BadMessage, match=r"^the broker's user 'agent\.tom' speaks for 'alice'$"):
        heard(task, "agent.tom")


def test_a_foreign_program_may_call_itself_what_it_likes_but_not_an_agent() -> None:
    heard(Task(content="Write.", sender="shop"), "client")
    heard(Task(content="Write."), None)
    with pytest.raises(BadMessage, match="'client' speaks for 'tom'"):
        heard(Task(content="Write.", sender="tom"), "client")


@pytest.mark.parametrize(
    "trigger", [Trigger(sender="scheduler"), Trigger(sender="cron", schedule="bob/plan")]
)
def test_a_schedule_is_the_schedulers(trigger: Trigger) -> None:
    heard(trigger, "scheduler")
    with pytest.raises(BadMessage, match="a message without a user_id speaks for 'scheduler'"):
        heard(trigger, None)


def test_the_operator_speaks_for_everybody() -> None:
    heard(Task(content="Write.", path=("alice",), sender="tom"), "operator")


@pytest.mark.parametrize("own", ["guest", "hutch", "operator", "me"])
def test_with_one_user_for_all_everybody_is_believed(own: str) -> None:
    heard(Task(content="Write.", path=("alice",)), None, received_as=own)
