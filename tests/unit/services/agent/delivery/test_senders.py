from __future__ import annotations

import pytest

from services.agent.delivery.senders import check_reply_to, check_sender, named_users
from shared.contract.messages import Task, Trigger
from shared.errors import BadMessage
from tests.support.processes.instances import delivery

KNOWN = ("alice", "bob", "tom")


def received(message: Task | Trigger, user_id: str | None, received_as: str = "agent.bob") -> None:
    said = delivery(b"", user_id=user_id, received_as=received_as)
    check_sender(said, *named_users(message, KNOWN))


def test_a_task_comes_from_the_last_agent_of_its_path() -> None:
    task = Task(content="Write.", path=("tom", "alice"), sender="alice")
    received(task, "agent.alice")
    with pytest.raises(BadMessage, match=r"^the broker's user 'agent\.tom' speaks for 'alice'$"):
        received(task, "agent.tom")


def test_a_foreign_program_may_call_itself_what_it_likes_but_not_an_agent() -> None:
    received(Task(content="Write.", sender="shop"), "client")
    received(Task(content="Write."), None)
    with pytest.raises(BadMessage, match="'client' speaks for 'tom'"):
        received(Task(content="Write.", sender="tom"), "client")


@pytest.mark.parametrize(
    "trigger", [Trigger(sender="scheduler"), Trigger(sender="cron", schedule="bob/plan")]
)
def test_only_the_scheduler_sends_the_triggers_of_a_schedule(trigger: Trigger) -> None:
    received(trigger, "scheduler")
    with pytest.raises(BadMessage, match="a message without a user_id speaks for 'scheduler'"):
        received(trigger, None)


def test_the_operator_speaks_for_every_agent() -> None:
    received(Task(content="Write.", path=("alice",), sender="tom"), "operator")


@pytest.mark.parametrize("own", ["guest", "hutch", "operator", "me"])
def test_with_one_user_for_all_every_sender_is_believed(own: str) -> None:
    received(Task(content="Write.", path=("alice",)), None, received_as=own)


def wants(reply_to: str | None, user_id: str | None, received_as: str = "agent.bob") -> None:
    check_reply_to(delivery(b"", reply_to=reply_to, user_id=user_id, received_as=received_as))


@pytest.mark.parametrize(
    ("reply_to", "user_id"),
    [
        ("reply.alice.0123abcd", "client"),
        ("reply.alice.0123abcd", "agent.tom"),
        ("reply.alice.0123abcd", None),
        ("reply.cli.0123abcd4567", "client"),
        ("reply.shop", "client"),
    ],
)
def test_no_client_has_a_response_sent_to_the_reply_queue_of_another(
    reply_to: str, user_id: str | None
) -> None:
    with pytest.raises(BadMessage, match=r"^reply_to: .* speaks for '(alice|cli|shop)'$"):
        wants(reply_to, user_id)


@pytest.mark.parametrize(
    ("reply_to", "user_id"),
    [
        ("reply.alice.0123abcd", "agent.alice"),
        ("reply.alice.0123abcd", "operator"),
        ("reply.cli.0123abcd4567", "operator"),
        ("amq.gen-0123", "client"),
        ("amq.gen-0123", None),
        ("amq.rabbitmq.reply-to.0123", None),
        (None, None),
    ],
)
def test_a_client_is_answered_in_its_own_queue(reply_to: str | None, user_id: str | None) -> None:
    wants(reply_to, user_id)


def test_with_one_user_for_all_no_reply_queue_has_an_owner() -> None:
    wants("reply.alice.0123abcd", None, received_as="guest")
