from __future__ import annotations

import pytest

from shared.contract.access import objection


@pytest.mark.parametrize("user", ["agent.bob", "operator", "gateway"])
def test_a_process_accepts_a_message_from_its_sender_and_from_those_who_replay(user: str) -> None:
    assert objection("agent.alice", user, "agent.bob") is None


@pytest.mark.parametrize("user", ["agent.tom", "client", "scheduler", None])
def test_a_process_refuses_a_message_in_another_name(user: str | None) -> None:
    assert "speaks for 'bob'" in (objection("agent.alice", user, "agent.bob") or "")
    assert objection("guest", user, "agent.bob") is None, "all processes share one user"
