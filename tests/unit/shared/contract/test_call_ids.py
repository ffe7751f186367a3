"""The ids of calls, from a call and back."""

from __future__ import annotations

import pytest

from shared.contract.call_ids import Call, call_id, call_of

CALL = Call("a" * 32, 12, 3)


@pytest.mark.parametrize("nonce", ["", "secret"])
def test_the_call_is_read_from_its_id(nonce: str) -> None:
    assert call_of(call_id(CALL, nonce)) == CALL


@pytest.mark.parametrize(
    "task_id", ["", "t1", "a" * 32, f"{'a' * 32}.1.2", f"{'A' * 32}.1.1.1", f"{'a' * 32}.1.1.1.x"]
)
def test_any_other_id_is_no_call(task_id: str) -> None:
    assert call_of(task_id) is None
