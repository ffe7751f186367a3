from __future__ import annotations

import pytest

from services.agent.workers import Replies
from shared.messages import Response, Status, encode
from shared.store import Store
from tests.instances import delivery, instance


@pytest.fixture
def replies(store: Store) -> Replies:
    return Replies(instance(store))


async def test_a_reply_goes_to_the_call_that_waits_for_it(replies: Replies) -> None:
    response = Response(task_id="c1", agent="bob", status=Status.OK, content="done")
    with replies.expect("c1") as reply:
        replies.hear(delivery(encode(response), correlation_id="c1"))
        assert (await reply).content == "done"


async def test_a_reply_that_names_no_call_is_found_by_its_task(replies: Replies) -> None:
    response = Response(task_id="c1", agent="bob", status=Status.OK, content="done")
    with replies.expect("c1") as reply:
        replies.hear(delivery(encode(response)))
        assert (await reply).content == "done"


async def test_a_reply_that_can_not_be_understood_ends_the_wait(replies: Replies) -> None:
    with replies.expect("c1") as reply:
        replies.hear(delivery(b"\xff", correlation_id="c1"))
        assert (await reply).status is Status.FAILED


@pytest.mark.parametrize("correlation_id", ["no id at all", "é", "x" * 255, "", None])
async def test_nobodys_reply_harms_nobody(replies: Replies, correlation_id: str | None) -> None:
    replies.hear(delivery(b"no response", correlation_id=correlation_id))
