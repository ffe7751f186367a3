from __future__ import annotations

from dataclasses import replace

import pytest

from services.agent.intake.mailbox import check_expiration, requester_of
from shared.broker.tolerant_decoding import Unreadable
from shared.errors import BadMessage
from shared.store.messages.requesters import Requester
from tests.support.processes.instances import delivery


def test_who_names_no_reply_queue_wants_no_response() -> None:
    assert requester_of(delivery(b"")) is None


def test_a_requester_is_an_address_and_its_own_mark() -> None:
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
def test_what_could_not_be_sent_back_as_it_came_is_bad(correlation_id: str) -> None:
    with pytest.raises(BadMessage, match="correlation_id: it is not UTF-8 or has a NUL in it"):
        requester_of(delivery(b"", reply_to="reply.x", correlation_id=correlation_id))


def test_a_task_with_a_time_to_live_is_told_of_deadlines() -> None:
    with pytest.raises(BadMessage, match="put a `deadline` in the body instead"):
        check_expiration(replace(delivery(b"x"), expiration="60000"))
