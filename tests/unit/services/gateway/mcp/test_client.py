"""The ids of the tasks that calls are."""

from __future__ import annotations

from services.gateway.access.caller import OPEN, Caller
from services.gateway.mcp.client import Client

OTHER = Caller("k1", "laptop", OPEN.scopes, None)


def test_a_request_of_a_session_is_one_task_and_any_other_a_new_one() -> None:
    client = Client(OPEN, "s1")
    assert client.task_id(1) == client.task_id("1"), "a cancel may write the id as text"
    different = {
        client.task_id(1),
        client.task_id(2),
        Client(OPEN, "s2").task_id(1),
        Client(OTHER, "s1").task_id(1),
        Client(OPEN).task_id(1),
        Client(OPEN).task_id(1),
    }
    assert len(different) == 6


def test_an_idempotency_key_is_one_task_of_its_caller_in_any_session() -> None:
    made = Client(OPEN, "s1", "order 7").task_id(1)
    assert made == Client(OPEN, "", "order 7").task_id(2)
    assert made != Client(OTHER, "s1", "order 7").task_id(1)
