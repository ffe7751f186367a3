"""Dead letters that the broker did not accept: kept once, in order, until they are dropped."""

from __future__ import annotations

from functools import partial

from sqlalchemy import update

from shared.contract.dead_letters import Kept
from shared.contract.messages import run_id
from shared.store import Store
from shared.store.messages.dead_letters import KnownRun, add, known_runs, remove, stored
from shared.store.messages.tables import dead_letters
from tests.support.stores.steps import a_moment_later, counted, ended, owned


def dead_letter(id: str, body: bytes = b"{") -> Kept:
    said = {"headers": {"x-hutch-reason": "no sense", "x-hutch-attempts": 2}, "reply_to": None}
    return Kept(f"dead.{id}", "agent.bob", body, said)


async def put(store: Store, it: Kept) -> int:
    return await store.write("", partial(add, dead_letter=it))


async def test_stored_dead_letters_are_read_back_unchanged_and_oldest_first(store: Store) -> None:
    first, second = dead_letter("b", b"\xff\0" * 100_000), dead_letter("a")
    assert await put(store, first) == 1
    await a_moment_later(store)
    assert await put(store, second) == 2
    assert await store.read(stored) == [first, second]
    assert (await counted(store)).dead_letters_kept == 2


async def test_a_dead_letter_that_is_stored_twice_is_kept_once(store: Store) -> None:
    await put(store, dead_letter("a"))
    assert await put(store, dead_letter("a", b"other")) == 1
    assert await store.read(stored) == [dead_letter("a")]


async def test_only_the_named_ones_are_dropped(store: Store) -> None:
    for id in "abc":
        await put(store, dead_letter(id))
    dropped = await store.write("", partial(remove, ids=["dead.a", "dead.c", "dead.gone"]))
    assert dropped == 2
    assert await store.read(stored) == [dead_letter("b")]


async def test_one_whose_properties_are_damaged_is_still_there(store: Store) -> None:
    await put(store, dead_letter("a"))
    await store.write("", lambda db: db.execute(update(dead_letters).values(properties="{")))
    assert await store.read(stored) == [Kept("dead.a", "agent.bob", b"{", {})]


async def test_runs_are_found_by_their_ids_open_or_ended(store: Store) -> None:
    await ended(store, await owned(store, "t1"))
    await owned(store, "t2")
    ids = [run_id("alice", task) for task in ("t1", "t2", "t3")]
    found = await store.read(partial(known_runs, run_ids=ids))
    assert found == {ids[0]: KnownRun("hello", "ok"), ids[1]: KnownRun("hello", "running")}
