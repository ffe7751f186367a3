from __future__ import annotations

import pytest

from services.agent.mailbox import requester_of
from shared.errors import BadMessage
from shared.store.requesters import Requester
from tests.instances import delivery


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
        ("reply.x", "c\n"),
        ("reply.x", "\ufffd"),
    ],
)
def test_an_address_that_is_no_reply_queue_is_bad(
    reply_to: str, correlation_id: str | None
) -> None:
    with pytest.raises(BadMessage, match="reply_to"):
        requester_of(delivery(b"", reply_to=reply_to, correlation_id=correlation_id))
