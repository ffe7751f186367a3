from __future__ import annotations

from shared.store import Store
from shared.store.messages import outbox
from shared.store.messages.outbox import Outbound
from shared.store.messages.requesters import Requester
from tests.support.stores.steps import (
    a_moment_later,
    claimed,
    counted,
    ended,
    owned,
    request,
    seen,
)


async def adopted(store: Store, by: str, dead: set[str]) -> tuple[Outbound, ...]:
    return await store.write("", lambda db: outbox.adopt(db, "alice", by, dead, set()))


async def abandoned(store: Store, dead: set[str]) -> int:
    return (await counted(store, dead)).abandoned_messages


async def test_a_dead_instances_messages_are_adopted_once_in_order(store: Store) -> None:
    run = await owned(store)
    for number in range(9):
        await claimed(store, request(requester=Requester(f"reply.{number}", "ü")))
    messages = await ended(store, run, broadcast_to="office")
    assert await abandoned(store, {"alice.1"}) == len(messages) == 11
    assert await adopted(store, "alice.2", {"alice.1"}) == messages
    assert list(messages) == sorted(messages, key=lambda message: message.seq)
    assert await adopted(store, "alice.3", {"alice.1", "nobody"}) == messages  # no row: alice.2


async def test_a_living_instances_messages_are_left_to_it(store: Store) -> None:
    await ended(store, await owned(store))
    assert await abandoned(store, set()) == 0
    assert await adopted(store, "alice.2", set()) == ()


async def test_an_adoption_repeated_after_an_unknown_commit_finds_its_own(store: Store) -> None:
    messages = await ended(store, await owned(store), instance="alice.0")
    earlier: set[int] = set()
    for _ in range(2):
        found = await store.write(
            "", lambda db: outbox.adopt(db, "alice", "alice.1", set(), earlier)
        )
        assert found == messages


async def test_a_sent_message_is_gone_and_an_undeliverable_one_is_kept_aside(
    store: Store,
) -> None:
    run = await owned(store)
    await claimed(store, request(requester=Requester("reply.other")))
    first, second = await ended(store, run)
    await store.write("", lambda db: outbox.remove_sent(db, [first.seq]))
    await store.write("", lambda db: outbox.mark_undeliverable(db, second.seq))
    assert await abandoned(store, {"alice.1"}) == 0
    assert await adopted(store, "alice.2", {"alice.1"}) == ()
    assert (await claimed(store, request(requester=Requester("reply.other")))).outbound


async def test_the_age_of_the_oldest_unsent_message_does_not_depend_on_its_publisher(
    store: Store,
) -> None:
    async def age_s(agent: str = "alice") -> float:
        return (await seen(store, agent)).counts.oldest_unsent_s

    assert await age_s() == 0
    (message,) = await ended(store, await owned(store))
    await a_moment_later(store)
    assert await age_s() > 0
    assert await age_s("bob") == 0
    await store.write("", lambda db: outbox.mark_undeliverable(db, message.seq))
    assert await age_s() == 0


async def test_a_number_is_never_used_again(store: Store) -> None:
    (first,) = await ended(store, await owned(store, "t1"))
    await store.write("", lambda db: outbox.remove_sent(db, [first.seq]))
    (second,) = await ended(store, await owned(store, "t2"))
    assert second.seq > first.seq
