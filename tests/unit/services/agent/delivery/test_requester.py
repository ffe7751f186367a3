from __future__ import annotations

import pytest

from services.agent.delivery.requester import requester_of
from shared.broker.tolerant_decoding import Unreadable
from shared.errors import BadMessage
from shared.store.messages.requesters import Requester
from tests.support.processes.instances import delivery


def test_a_message_without_a_reply_queue_gets_no_response() -> None:
    assert requester_of(delivery(b"")) is None


def test_a_requester_is_a_reply_queue_and_a_correlation_id() -> None:
    wanted = requester_of(delivery(b"", reply_to="reply.x", correlation_id="c 1"))
    assert wanted == Requester("reply.x", "c 1")


@pytest.mark.parametrize(
    ("reply_to", "correlation_id"),
    [
        ("agent.bob", None),
        ("reply.x\n", None),
        ("reply.é", None),
    ],
)
def test_an_address_that_is_no_reply_queue_is_bad(
    reply_to: str, correlation_id: str | None
) -> None:
    with pytest.raises(BadMessage, match="reply_to"):
        requester_of(delivery(b"", reply_to=reply_to, correlation_id=correlation_id))


@pytest.mark.parametrize("correlation_id", ["Grüße, 你好", "\U0001f600" * 63, "a\nb\t", "\ufffd"])
def test_a_correlation_id_is_any_text(correlation_id: str) -> None:
    wanted = requester_of(delivery(b"", reply_to="reply.x", correlation_id=correlation_id))
    assert wanted == Requester("reply.x", correlation_id)


@pytest.mark.parametrize("correlation_id", ["a\0b", Unreadable("\ufffd")])
def test_a_correlation_id_that_could_not_be_sent_back_as_it_came_is_bad(
    correlation_id: str,
) -> None:
    with pytest.raises(BadMessage, match="correlation_id: it is not UTF-8 or has a NUL in it"):
        requester_of(delivery(b"", reply_to="reply.x", correlation_id=correlation_id))


def test_a_reply_queue_of_another_agent_is_bad() -> None:
    with pytest.raises(BadMessage, match=r"^reply_to: .*'agent\.tom' speaks for 'alice'$"):
        requester_of(
            delivery(b"", reply_to="reply.alice.0", user_id="agent.tom", received_as="agent.bob")
        )
