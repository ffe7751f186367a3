from __future__ import annotations

from functools import partial

import pytest

from services.gateway.openai.task_ids import agent_of, task_id
from shared.store import Store
from shared.store.messages import sent

RETRY = {"x-stainless-retry-count": "1"}


async def chosen(
    store: Store,
    headers: dict[str, str] | None = None,
    *,
    key: str = "k1",
    agent: str = "alice",
    said: str = "Hi",
) -> str:
    """The id of a request's task, recorded as sent."""
    id = await task_id(store, "resp", key, agent, headers or {}, said.encode())
    await store.write("", partial(sent.record, message_id=id, receiver=agent))
    return id


async def test_two_equal_questions_are_two_tasks(store: Store) -> None:
    assert await chosen(store) != await chosen(store)


async def test_a_repeated_request_has_the_id_of_the_one_that_it_repeats(store: Store) -> None:
    first = await chosen(store)
    assert await chosen(store, RETRY) == first
    assert await chosen(store, {"x-stainless-retry-count": "2"}) == first


@pytest.mark.parametrize("other", [{"key": "k2"}, {"agent": "bob"}, {"said": "Ho"}])
async def test_another_caller_agent_or_question_is_never_joined(
    store: Store, other: dict[str, str]
) -> None:
    first = await chosen(store)
    assert await chosen(store, RETRY, **other) != first


async def test_the_same_question_in_another_session_is_another_task(store: Store) -> None:
    first = await chosen(store, {"x-hutch-session": "s1"})
    assert await chosen(store, RETRY | {"x-hutch-session": "s2"}) != first
    assert await chosen(store, RETRY | {"x-hutch-session": "s1"}) == first


async def test_a_repetition_of_a_request_that_never_arrived_is_a_new_task(store: Store) -> None:
    assert agent_of(await chosen(store, RETRY)) == "alice"


async def test_the_same_idempotency_key_of_the_same_caller_gives_the_same_id(store: Store) -> None:
    named = {"idempotency-key": "order 7"}
    first = await chosen(store, named)
    assert await chosen(store, named) == first
    assert await chosen(store, named, said="Ho") == first  # the agent refuses other content
    assert await chosen(store, named, key="k2") != first
    assert await chosen(store, {"idempotency-key": "order 8"}) != first


async def test_an_id_tells_its_agent_and_nothing_else_is_taken_for_one(store: Store) -> None:
    assert agent_of(await chosen(store, agent="bob-2")) == "bob-2"
    for other in ("", "t1", "resp_alice", "resp_alice_xyz", "resp_alice_" + "0" * 33):
        assert agent_of(other) is None
