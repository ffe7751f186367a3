from __future__ import annotations

import pytest

from shared.client.ask import response_to
from shared.contract.messages import Response, Status, Task, encode
from shared.errors import BadMessage
from tests.support.processes.instances import delivery

MINE = Response(task_id="t1", agent="bob", status=Status.OK, content="done")


@pytest.mark.parametrize("correlation_id", ["t1", "other", None])
def test_the_response_to_a_task_names_the_task(correlation_id: str | None) -> None:
    assert response_to("t1", delivery(encode(MINE), correlation_id=correlation_id)) == MINE


def test_the_response_to_another_task_is_none_whatever_it_correlates_to() -> None:
    other = MINE.model_copy(update={"task_id": "t2"})
    assert response_to("t1", delivery(encode(other), correlation_id="t1")) is None


def test_a_message_that_is_no_response_is_read_as_none() -> None:
    assert response_to("t1", delivery(encode(Task(content="x")), correlation_id="t1")) is None


def test_only_a_malformed_message_about_the_task_ends_the_wait() -> None:
    assert response_to("t1", delivery(b"\xff", correlation_id="t2")) is None
    with pytest.raises(BadMessage):
        response_to("t1", delivery(b"\xff", correlation_id="t1"))
